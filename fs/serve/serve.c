/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/serve.h"

#include "base/util.h"
#include "serve/prune.h"
#include "serve/shutdown.h"
#include "serve/turns.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/*
 * How often the watcher (the main thread) looks: longer than a request takes, shorter than a person
 * notices.
 */
#define MOMENT_MS 5

/* After a request that took longer, the requests of its turn go to workers (turns.h). */
#define SLOW_US 2000

/* After so many looks without a request the watcher sleeps until a request comes. */
#define REST_AFTER 40

/* How many readers (request threads) there are at most, relieved ones included. */
#define READERS_MAX 256

/* How many times MOMENT_MS stop_readers() waits for readers that are still at a request. */
#define PATIENCE 400

struct reader {
	struct server *server;
	struct at_request at;
	gint requests; /* begun, and finished: odd during a request; atomic */
	gint seen;     /* only for the watcher: `requests` when it last looked */
	/* Another reader has its place. Written under the server's `lock`, read without; atomic. */
	gint relieved;
	uint64_t turn; /* of the request under way; atomic */
};

struct server {
	struct fs *fs;
	GMutex lock;
	GPtrArray *readers; /* of struct reader *; protected by `lock` */
	unsigned wanted;    /* constant: how many readers are not relieved */
	gint resting;       /* the watcher sleeps; atomic */
	int error;          /* protected by `lock` */
};

/* Readers */

static unsigned active_locked(const struct server *server)
{
	unsigned active = 0;

	for (guint i = 0; i < server->readers->len; i++)
		active += !((struct reader *)g_ptr_array_index(server->readers, i))->relieved;
	return active;
}

/*
 * Whether the reader, after a request, has to go on: not if it was relieved meanwhile and there are
 * enough readers.
 */
static bool still_needed(struct reader *reader)
{
	struct server *server = reader->server;

	if (!g_atomic_int_get(&reader->relieved))
		return true;
	g_mutex_lock(&server->lock);
	if (active_locked(server) < server->wanted)
		g_atomic_int_set(&reader->relieved, FALSE);
	g_mutex_unlock(&server->lock);
	return !g_atomic_int_get(&reader->relieved);
}

static void end_reader(struct reader *reader, int result)
{
	struct server *server = reader->server;

	g_mutex_lock(&server->lock);
	if (result < 0)
		server->error = result;
	g_ptr_array_remove_fast(server->readers, reader);
	shutdown_wake();
	g_mutex_unlock(&server->lock);
	g_free(reader);
}

/* Marks the reader that is at this request as interrupted; the watcher signals it. */
static void note_interrupted(struct server *server, uint64_t unique)
{
	g_mutex_lock(&server->lock);
	for (guint i = 0; i < server->readers->len; i++) {
		struct reader *reader = g_ptr_array_index(server->readers, i);

		if (__atomic_load_n(&reader->at.unique, __ATOMIC_SEQ_CST) == unique)
			g_atomic_int_set(&reader->at.interrupted, TRUE);
	}
	g_mutex_unlock(&server->lock);
	shutdown_wake();
}

/* Answers the request in this thread, where the watcher sees how long it takes. */
static void answer(struct reader *reader, const struct fuse_buf *request)
{
	struct server *server = reader->server;
	gint64 begun = g_get_monotonic_time();

	__atomic_store_n(&reader->turn, turns_of(request), __ATOMIC_RELAXED);
	g_atomic_int_inc(&reader->requests);
	if (g_atomic_int_get(&server->resting) &&
		g_atomic_int_compare_and_exchange(&server->resting, TRUE, FALSE))
		shutdown_wake();
	at_request_set(&reader->at, request);
	turns_catch_up(server->fs->turns, &reader->at);
	fuse_session_process_buf(server->fs->session, request);
	at_request_set(&reader->at, NULL);
	g_atomic_int_inc(&reader->requests);
	if (g_get_monotonic_time() - begun > SLOW_US)
		turns_note_slow(server->fs->turns, reader->turn);
}

static void *read_requests(void *data)
{
	struct reader *reader = data;
	struct fuse_session *session = reader->server->fs->session;
	struct fuse_buf buf = { 0 };
	bool handed_over;
	int r = 0;

	while (!fuse_session_exited(session)) {
		r = fuse_session_receive_buf(session, &buf);
		if (r == -EINTR)
			continue;
		if (r == -ENOMEM) {
			g_usleep(1000); /* other processes may give memory back */
			continue;
		}
		if (r <= 0)
			break;
		handed_over = turns_hand_over(reader->server->fs->turns, &buf);
		if (turns_interrupted(&buf))
			note_interrupted(reader->server, turns_interrupted(&buf));
		if (!handed_over)
			answer(reader, &buf);
		prune_if_due(reader->server->fs);
		if (!handed_over && !still_needed(reader))
			break;
	}
	free(buf.mem);
	/* The kernel returns this from a read(2) that began while the mount was being unmounted. */
	if (r == -ECONNABORTED)
		r = 0;
	/* Without a connection no reader has anything to serve. */
	if (r <= 0 && r != -EINTR)
		fuse_session_exit(session);
	end_reader(reader, MIN(r, 0));
	return NULL;
}

static int add_reader_locked(struct server *server)
{
	struct reader *reader = g_new0(struct reader, 1);
	pthread_attr_t attr;
	int r;

	reader->server = server;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	g_ptr_array_add(server->readers, reader);
	r = pthread_create(&reader->at.thread, &attr, read_requests, reader);
	pthread_attr_destroy(&attr);
	if (r == 0)
		return 0;
	g_ptr_array_remove_fast(server->readers, reader);
	g_free(reader);
	return -r;
}

/* The watcher */

/*
 * Relieves each reader that is still at the request of the last look, and adds readers in their
 * place. Returns whether a reader or worker was busy since.
 */
static bool look(struct server *server)
{
	bool active = false;

	g_mutex_lock(&server->lock);
	for (guint i = 0; i < server->readers->len; i++) {
		struct reader *reader = g_ptr_array_index(server->readers, i);
		gint requests = g_atomic_int_get(&reader->requests);

		active |= requests != reader->seen || requests & 1;
		if (g_atomic_int_get(&reader->at.interrupted))
			at_request_signal(&reader->at);
		if (requests == reader->seen && requests & 1) {
			g_atomic_int_set(&reader->relieved, TRUE);
			turns_note_slow(server->fs->turns,
				__atomic_load_n(&reader->turn, __ATOMIC_RELAXED));
		}
		reader->seen = requests;
	}
	while (active_locked(server) < server->wanted && server->readers->len < READERS_MAX &&
		!fuse_session_exited(server->fs->session))
		if (add_reader_locked(server) < 0)
			break; /* the next look tries again */
	g_mutex_unlock(&server->lock);
	return turns_signal(server->fs->turns) || active;
}

static void watch(struct server *server)
{
	unsigned idle = 0;

	while (!fuse_session_exited(server->fs->session)) {
		idle = look(server) ? 0 : idle + 1;
		if (idle < REST_AFTER) {
			shutdown_sleep(MOMENT_MS);
			continue;
		}
		/*
		 * Either look() sees that a reader has begun a request, or that reader sees that
		 * `resting` is set, and wakes this thread.
		 */
		g_atomic_int_set(&server->resting, TRUE);
		if (!look(server))
			shutdown_sleep(-1);
		g_atomic_int_set(&server->resting, FALSE);
		idle = 0;
	}
}

/*
 * Interrupts the read(2) of the readers, and gives those at a request time to answer it. Returns
 * whether all have ended.
 */
static bool stop_readers(struct server *server)
{
	unsigned left = 1;

	for (unsigned i = 0; i < PATIENCE && left > 0; i++) {
		g_mutex_lock(&server->lock);
		left = server->readers->len;
		for (guint k = 0; k < left; k++)
			pthread_kill(
				((struct reader *)g_ptr_array_index(server->readers, k))->at.thread,
				INTERRUPT_SIGNAL);
		g_mutex_unlock(&server->lock);
		if (left > 0)
			shutdown_sleep(MOMENT_MS);
	}
	return left == 0;
}

int serve(struct fs *fs, unsigned readers)
{
	/* Not on the stack: a reader that cannot be stopped uses it after this call. */
	struct server *server = g_new0(struct server, 1);
	int r;

	server->fs = fs;
	server->wanted = readers;
	server->readers = g_ptr_array_new();
	g_mutex_init(&server->lock);
	watch(server);
	turns_drop(server->fs->turns);
	if (!stop_readers(server)) {
		fs->stuck = true;
		return 0;
	}
	r = server->error;
	g_ptr_array_unref(server->readers);
	g_mutex_clear(&server->lock);
	g_free(server);
	return r;
}

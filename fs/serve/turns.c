/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/turns.h"

#include "base/patience/patience.h"
#include "daemon/fs.h"
#include "daemon/log.h"
#include "serve/shutdown.h"

#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

/* How long a turn counts as slow. */
#define SLOW_US G_USEC_PER_SEC

/* With so many slow turns, all are handed over. */
#define SLOW_MAX 3

/* What one user's requests may take while they wait; one that writes is up to a megabyte. */
#define HELD_BYTES (8 * 1024 * 1024)

/* Interrupts that are remembered, in case their requests are not known yet. */
#define EARLY_MAX 256

struct turns {
	struct fs *fs;
	gint any; /* in `slow` (which may be over) and `held`; atomic, looked at without the lock */
	GMutex lock;
	/* Protected by the lock: */
	GHashTable *slow;          /* turn: until when, monotonic, us; both owned */
	GHashTable *held;          /* turn: bytes of its requests that wait or run; both owned */
	GQueue running;            /* of struct handed_over *, which workers are answering */
	uint64_t early[EARLY_MAX]; /* a ring: which requests the last interrupts were about */
	unsigned next_early;
};

struct handed_over {
	struct turns *turns;
	uint64_t turn;
	struct fuse_buf request; /* `mem` is ours */
	struct at_request at;
	GList link; /* in `running` */
};

struct turns *turns_new(struct fs *fs)
{
	struct turns *turns = g_new0(struct turns, 1);

	turns->fs = fs;
	g_mutex_init(&turns->lock);
	turns->slow = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	turns->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	return turns;
}

void turns_free(struct turns *turns)
{
	g_hash_table_unref(turns->slow);
	g_hash_table_unref(turns->held);
	g_mutex_clear(&turns->lock);
	g_free(turns);
}

static const struct fuse_in_header *header_of(const struct fuse_buf *request)
{
	return request->mem;
}

/*
 * Whether the kernel never sends a request of this sort while it has a directory locked. All others
 * it may, for instance to check a permission, and then no process can use the directory until they
 * are answered: if they waited behind requests that may wait as long as their user likes, so would
 * all users.
 */
static bool may_wait(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_SETATTR:
	case FUSE_OPEN:
	case FUSE_OPENDIR:
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_LSEEK:
	case FUSE_FALLOCATE:
	case FUSE_IOCTL:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		return true;
	default:
		return false;
	}
}

/*
 * Whether the kernel sends a request of this sort for itself, so that its uid means nothing. None
 * waits.
 */
static bool has_no_user(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_INTERRUPT:
	case FUSE_INIT:
	case FUSE_DESTROY:
		return true;
	default:
		return false;
	}
}

uint64_t turns_of(const struct fuse_buf *request)
{
	const struct fuse_in_header *header = header_of(request);

	if (has_no_user(header->opcode))
		return TURN_OWN;
	return turn_of(header->uid, may_wait(header->opcode) ? TURN_FILES : TURN_NAMES);
}

static gboolean is_over(gpointer key, gpointer until, gpointer now)
{
	(void)key;
	return *(gint64 *)until < *(gint64 *)now;
}

static void note_any_locked(struct turns *turns)
{
	g_atomic_int_set(&turns->any,
		g_hash_table_size(turns->slow) + g_hash_table_size(turns->held));
}

static bool is_slow(struct turns *turns, uint64_t turn)
{
	gint64 now;
	bool slow;

	if (!g_atomic_int_get(&turns->any))
		return false;
	now = g_get_monotonic_time();
	g_mutex_lock(&turns->lock);
	g_hash_table_foreach_remove(turns->slow, is_over, &now);
	slow = g_hash_table_size(turns->slow) >= SLOW_MAX ||
		g_hash_table_contains(turns->slow, &turn) ||
		g_hash_table_contains(turns->held, &turn);
	note_any_locked(turns);
	g_mutex_unlock(&turns->lock);
	return slow;
}

void turns_note_slow(struct turns *turns, uint64_t turn)
{
	gint64 until = g_get_monotonic_time() + SLOW_US;

	if (turn == TURN_OWN)
		return;
	g_mutex_lock(&turns->lock);
	if (g_hash_table_size(turns->slow) < SLOW_MAX || g_hash_table_contains(turns->slow, &turn))
		g_hash_table_replace(turns->slow, g_memdup2(&turn, sizeof turn),
			g_memdup2(&until, sizeof until));
	note_any_locked(turns);
	g_mutex_unlock(&turns->lock);
}

/*
 * Counts the bytes of one more request for the turn; false if that is too much. The first always
 * fits.
 */
static bool hold(struct turns *turns, uint64_t turn, size_t bytes)
{
	uint64_t held;
	bool may;

	g_mutex_lock(&turns->lock);
	uint64_t *now = g_hash_table_lookup(turns->held, &turn);

	held = (now ? *now : 0) + bytes;
	may = !now || held <= HELD_BYTES;
	if (may)
		g_hash_table_replace(turns->held, g_memdup2(&turn, sizeof turn),
			g_memdup2(&held, sizeof held));
	note_any_locked(turns);
	g_mutex_unlock(&turns->lock);
	return may;
}

static void free_handed_over(struct handed_over *handed)
{
	struct turns *turns = handed->turns;
	uint64_t *held;

	g_mutex_lock(&turns->lock);
	held = g_hash_table_lookup(turns->held, &handed->turn);
	*held -= handed->request.size;
	if (*held == 0)
		g_hash_table_remove(turns->held, &handed->turn);
	note_any_locked(turns);
	g_mutex_unlock(&turns->lock);
	g_free(handed->request.mem);
	g_free(handed);
}

static bool came_early_locked(const struct turns *turns, uint64_t unique)
{
	for (unsigned i = 0; i < EARLY_MAX; i++)
		if (turns->early[i] == unique)
			return true;
	return false;
}

static bool came_early(struct turns *turns, uint64_t unique)
{
	bool came;

	g_mutex_lock(&turns->lock);
	came = came_early_locked(turns, unique);
	g_mutex_unlock(&turns->lock);
	return came;
}

void turns_catch_up(struct turns *turns, struct at_request *at)
{
	if (at->unique == 0 || !came_early(turns, at->unique))
		return;
	g_atomic_int_set(&at->interrupted, TRUE);
	shutdown_wake();
}

static void set_running(struct handed_over *handed, bool running)
{
	struct turns *turns = handed->turns;

	g_mutex_lock(&turns->lock);
	if (running)
		g_queue_push_tail_link(&turns->running, &handed->link);
	else
		g_queue_unlink(&turns->running, &handed->link);
	g_mutex_unlock(&turns->lock);
}

static void answer(void *data)
{
	struct handed_over *handed = data;

	handed->at.thread = pthread_self();
	at_request_set(&handed->at, &handed->request);
	set_running(handed, true);
	turns_catch_up(handed->turns, &handed->at);
	fuse_session_process_buf(handed->turns->fs->session, &handed->request);
	set_running(handed, false);
	free_handed_over(handed);
}

/* Replies with an error to a request that was not given to libfuse. */
static void refuse(struct turns *turns, uint64_t unique, int error)
{
	struct fuse_out_header out = { .len = sizeof out, .error = error, .unique = unique };
	struct patience patience = { 0 };
	ssize_t n;

	do
		n = write(fuse_session_fd(turns->fs->session), &out, sizeof out);
	while (n < 0 && patience_waits(&patience, errno));
	if (n < 0 && errno != ENOENT)
		log_line("a request could not be refused: %s", g_strerror(errno));
}

static bool is_request(const void *data, const void *unique)
{
	const struct handed_over *handed = data;

	return header_of(&handed->request)->unique == *(const uint64_t *)unique;
}

/* Whether the daemon, in answering it, may wait in a system call that a signal ends. */
static bool is_interruptible(uint32_t opcode)
{
	return opcode == FUSE_SETATTR || opcode == FUSE_FALLOCATE;
}

void at_request_set(struct at_request *at, const struct fuse_buf *request)
{
	uint64_t unique = request && is_interruptible(header_of(request)->opcode) ?
		header_of(request)->unique :
		0;

	g_atomic_int_set(&at->interrupted, FALSE);
	__atomic_store_n(&at->unique, unique, __ATOMIC_SEQ_CST);
}

void at_request_signal(const struct at_request *at)
{
	if (__atomic_load_n(&at->unique, __ATOMIC_SEQ_CST) != 0)
		pthread_kill(at->thread, INTERRUPT_SIGNAL);
}

uint64_t turns_interrupted(const struct fuse_buf *request)
{
	const struct fuse_interrupt_in *in = (const void *)(header_of(request) + 1);

	return header_of(request)->opcode == FUSE_INTERRUPT ? in->unique : 0;
}

bool turns_signal(struct turns *turns)
{
	bool any = false;

	g_mutex_lock(&turns->lock);
	for (GList *link = turns->running.head; link; link = link->next) {
		const struct handed_over *handed = link->data;

		if (!g_atomic_int_get(&handed->at.interrupted))
			continue;
		at_request_signal(&handed->at);
		any = true;
	}
	g_mutex_unlock(&turns->lock);
	return any;
}

static void note_interrupted(struct turns *turns, uint64_t unique)
{
	g_mutex_lock(&turns->lock);
	for (GList *link = turns->running.head; link; link = link->next) {
		struct handed_over *handed = link->data;

		if (handed->at.unique == unique)
			g_atomic_int_set(&handed->at.interrupted, TRUE);
	}
	g_mutex_unlock(&turns->lock);
}

/*
 * A request may have been read, and be neither in a queue nor begun: whoever puts it there looks here
 * afterwards.
 */
static void remember(struct turns *turns, uint64_t unique)
{
	g_mutex_lock(&turns->lock);
	turns->early[turns->next_early++ % EARLY_MAX] = unique;
	g_mutex_unlock(&turns->lock);
}

/*
 * After the caller of that request has got a signal: true if the request was still waiting, and is
 * refused.
 */
static bool interrupt(struct turns *turns, uint64_t unique)
{
	struct handed_over *handed =
		workers_withdraw(turns->fs->workers, answer, is_request, &unique);

	if (!handed) {
		note_interrupted(turns, unique);
		return false;
	}
	refuse(turns, unique, -EINTR);
	free_handed_over(handed);
	return true;
}

bool turns_hand_over(struct turns *turns, const struct fuse_buf *request)
{
	const struct fuse_in_header *header = header_of(request);
	struct handed_over *handed;
	uint64_t turn = turns_of(request);
	void *copy;

	if (header->opcode == FUSE_INTERRUPT) {
		remember(turns, turns_interrupted(request));
		return g_atomic_int_get(&turns->any) &&
			interrupt(turns, turns_interrupted(request));
	}
	if (turn == TURN_OWN || !is_slow(turns, turn))
		return false;
	copy = g_try_malloc(request->size);
	if (!copy || !hold(turns, turn, request->size)) {
		g_free(copy);
		refuse(turns, header->unique, -ENOMEM);
		return true;
	}
	handed = g_new(struct handed_over, 1);
	*handed = (struct handed_over){ .turns = turns, .turn = turn, .request = *request };
	handed->link.data = handed;
	handed->request.mem = memcpy(copy, request->mem, request->size);
	workers_push(turns->fs->workers, turn, answer, handed);
	if (came_early(turns, header->unique))
		interrupt(turns, header->unique);
	return true;
}

static bool is_any(const void *data, const void *wanted)
{
	(void)data, (void)wanted;
	return true;
}

void turns_drop(struct turns *turns)
{
	struct handed_over *handed;

	while ((handed = workers_withdraw(turns->fs->workers, answer, is_any, NULL)))
		free_handed_over(handed);
}

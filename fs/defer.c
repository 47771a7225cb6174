/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "defer.h"

#include "reply.h"

/* Most wait for the same census, which runs once for all of them. */
#define WORKERS 64

void defer_if(struct fs *fs, bool wait, struct deferred *d,
	void (*run)(struct fs *fs, struct deferred *d))
{
	if (!wait) {
		run(fs, d);
		return;
	}
	d = g_memdup2(d, sizeof *d);
	d->run = run;
	if (d->node)
		node_ref(fs->nodes, d->node);
	g_atomic_int_inc(&fs->deferred);
	g_thread_pool_push(fs->workers, d, NULL);
}

static void work(gpointer data, gpointer user)
{
	struct deferred *d = data;
	struct fs *fs = user;

	d->run(fs, d);
	if (d->node)
		node_unref(fs->nodes, d->node);
	g_free(d);
	g_atomic_int_add(&fs->deferred, -1);
}

static void reply_now(struct fs *fs, struct deferred *d)
{
	(void)fs;
	reply_result(d->req, d->result);
}

void defer_reply(struct fs *fs, fuse_req_t req, int result)
{
	struct deferred d = { .req = req, .result = result };

	defer_if(fs, fs->io_uring, &d, reply_now);
}

int defer_start(struct fs *fs)
{
	if (fs->options.io_uring) {
		g_thread_pool_set_max_unused_threads(-1);
		g_thread_pool_set_max_idle_time(0);
	}
	fs->workers = g_thread_pool_new(work, fs, WORKERS, FALSE, NULL);
	return fs->workers ? 0 : -EAGAIN;
}

bool defer_stop(struct fs *fs)
{
	for (unsigned i = 0; i < 2000 && g_atomic_int_get(&fs->deferred) > 0; i++)
		g_usleep(1000);
	if (g_atomic_int_get(&fs->deferred) > 0)
		return false;
	g_thread_pool_free(fs->workers, FALSE, TRUE);
	fs->workers = NULL;
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/defer.h"

#include "node/node.h"
#include "serve/turns.h"
#include "serve/workers.h"

struct job {
	struct fs *fs;
	struct deferred deferred;
};

static void work(void *data)
{
	struct job *job = data;
	struct deferred *d = &job->deferred;

	d->run(job->fs, d);
	if (d->node)
		node_unref(job->fs->nodes, d->node);
	g_free(job);
}

static uint64_t turn_for(const struct deferred *d)
{
	uid_t uid = d->other_user ? d->uid : d->req ? fuse_req_ctx(d->req)->uid : 0;

	if (d->lists)
		return turn_of(uid, TURN_LISTINGS);
	return turn_of(uid, d->locks_directory ? TURN_NAMES : TURN_FILES);
}

void defer_if(struct fs *fs, bool wait, struct deferred *d,
	void (*run)(struct fs *fs, struct deferred *d))
{
	struct job *job;
	uint64_t current;

	/* A worker that already runs this request in its user's turn goes on with it. */
	if (!wait || (d->req && workers_current(&current) && current == turn_for(d))) {
		run(fs, d);
		return;
	}
	job = g_new(struct job, 1);
	*job = (struct job){ fs, *d };
	job->deferred.run = run;
	if (d->node)
		node_ref(fs->nodes, d->node);
	workers_push(fs->workers, turn_for(d), work, job);
}

int defer_start(struct fs *fs)
{
	fs->workers = workers_new();
	fs->turns = turns_new(fs);
	return 0;
}

bool defer_stop(struct fs *fs)
{
	for (unsigned i = 0; i < 2000 && workers_pending(fs->workers) > 0; i++)
		g_usleep(1000);
	if (workers_pending(fs->workers) > 0)
		return false;
	workers_free(fs->workers);
	turns_free(fs->turns);
	fs->workers = NULL;
	return true;
}

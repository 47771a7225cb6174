/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that may wait for other processes (a census takes their locks) are answered by worker
 * threads: were the threads that serve the mount to wait, a process that waits for the mount while
 * it holds such a lock would wait for ever.
 */
#pragma once

#include "fs.h"

struct deferred {
	fuse_req_t req;
	struct node *node;
	struct fuse_file_info fi;
	bool has_fi;
	struct stat attr;  /* setattr */
	int to_set;
	mode_t mode;       /* mkdir */
	char name[NAME_MAX + 1];
	void (*run)(struct fs *fs, struct deferred *d);
};

/* Runs it now, or (`wait`) on a worker with a copy of `*d` and a reference to its node. */
void defer_if(struct fs *fs, bool wait, struct deferred *d,
	void (*run)(struct fs *fs, struct deferred *d));

/* The pool; -errno. Ends when all that was deferred is answered. */
int defer_start(struct fs *fs);
void defer_stop(struct fs *fs);

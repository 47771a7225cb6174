/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has worker threads answer the requests that may wait for other processes. A census takes the
 * locks of every process. If a request thread waited for such a lock, and the process that holds it
 * waited for the mount, both would wait for ever.
 */
#pragma once

#include "daemon/fs.h"

#include <limits.h>

struct deferred {
	fuse_req_t req;
	struct node *node;
	struct fuse_file_info fi;
	bool has_fi;
	struct stat attr; /* setattr */
	int to_set;
	mode_t mode;          /* mkdir, fallocate */
	off_t offset;         /* fallocate */
	size_t length;        /* fallocate */
	unsigned flags;       /* rename */
	bool held;            /* the census is, for this request: tree/file.c */
	bool at_once;         /* only if that needs no waiting: likewise */
	bool locks_directory; /* the kernel does, for all, until this is answered */
	bool waited;          /* open: a worker answers */
	bool lists;           /* much, maybe: TURN_LISTINGS */
	bool other_user;      /* in the turn of `uid`, who did not make the request */
	uid_t uid;
	char name[NAME_MAX + 1];     /* in a directory */
	char new_name[NAME_MAX + 1]; /* rename */
	void (*run)(struct fs *fs, struct deferred *d);
};

/*
 * Calls run() now, or if `wait` has a worker call it in its user's turn, with a copy of `*d` and a
 * reference to its node.
 */
void defer_if(struct fs *fs, bool wait, struct deferred *d,
	void (*run)(struct fs *fs, struct deferred *d));

/* Starts the workers. 0 or a negative errno. */
int defer_start(struct fs *fs);

/* Waits until all that was deferred is answered; false if some of it still is not after a while. */
bool defer_stop(struct fs *fs);

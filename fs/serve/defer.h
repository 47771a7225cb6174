/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that may wait for other processes are answered by worker threads. A census takes the
 * locks of every process: were a thread that serves the mount to wait for one, a process that
 * waits for the mount while it holds that lock would wait for ever.
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
	int result;           /* defer_reply() */
	bool held;            /* the census is, for this request: tree/file.c */
	bool at_once;         /* only if that needs no waiting: likewise */
	bool locks_directory; /* the kernel does, for all, until this is answered */
	bool lists;           /* much, maybe: TURN_LISTINGS */
	bool other_user;      /* in the turn of `uid`, who did not make the request */
	uid_t uid;
	char name[NAME_MAX + 1];     /* in a directory */
	char new_name[NAME_MAX + 1]; /* rename */
	void (*run)(struct fs *fs, struct deferred *d);
};

/*
 * Runs it now, or (`wait`) by a worker in its user's turn, with a copy of `*d` and a reference to its
 * node.
 */
void defer_if(struct fs *fs, bool wait, struct deferred *d,
	void (*run)(struct fs *fs, struct deferred *d));

/*
 * Whether what waits for the lock of an inode is to be deferred: over /dev/fuse a reader that waits
 * is relieved (serve.h), but over io_uring nobody can take its place.
 */
static inline bool must_not_wait(const struct fs *fs)
{
	return fs->io_uring;
}

/*
 * reply_result() for a thread that is about to end. Over io_uring the answer also asks for the next
 * request, on behalf of the thread that sends it, and is void when that thread ends: there a worker
 * sends it, and workers stay.
 */
void defer_reply(struct fs *fs, fuse_req_t req, int result);

/* The pool; -errno. */
int defer_start(struct fs *fs);

/* Waits until all that was deferred is answered; false if some of it still is not after a while. */
bool defer_stop(struct fs *fs);

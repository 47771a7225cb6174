/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread serves the mount as a rule: it answers from the caller's core, and a wake-up is most
 * of what a request costs. So what may take long is done by worker threads: what waits for other
 * processes (a census takes their locks, and were a serving thread to wait, a process that waits
 * for the mount while it holds such a lock would wait for ever), and what frees or fills many pages.
 */
#pragma once

#include "fs.h"

/* Bytes that take some milliseconds to be freed, filled or copied. */
#define MANY_BYTES (32 * 1024 * 1024)

static inline bool many_pages(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512 >= MANY_BYTES;
}

struct deferred {
	fuse_req_t req;
	struct node *node;
	struct fuse_file_info fi;
	bool has_fi;
	struct stat attr;  /* setattr */
	int to_set;
	mode_t mode;       /* mkdir, fallocate */
	off_t offset;      /* fallocate, copy_file_range */
	size_t length;
	struct fuse_file_info fi_out; /* copy_file_range */
	off_t offset_out;
	unsigned flags;               /* copy_file_range, rename */
	char name[NAME_MAX + 1];      /* in a directory */
	char new_name[NAME_MAX + 1];  /* rename */
	void (*run)(struct fs *fs, struct deferred *d);
};

/* Runs it now, or (`wait`) on a worker with a copy of `*d` and a reference to its node. */
void defer_if(struct fs *fs, bool wait, struct deferred *d,
	void (*run)(struct fs *fs, struct deferred *d));

/* The pool; -errno. Ends when all that was deferred is answered. */
int defer_start(struct fs *fs);
void defer_stop(struct fs *fs);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock owners of one open segment, each with the open file description that carries its locks.
 *
 * Each lock owner that the kernel names (a process's descriptor table for fcntl(2) record locks,
 * an open file description for OFD locks and flock(2)) gets an open file description of its own on
 * the segment, and its locks are OFD locks, or flock(2), on that: OFD locks conflict with record
 * locks and with one another as record locks do, and closing the descriptor drops them all.
 *
 * Sends no replies: ops/lock.c does.
 */
#pragma once

#include "daemon/charge.h"
#include "daemon/fs.h"

#include <fcntl.h>

struct handle;

/* The locks of one owner on one segment. All is constant but `refs` and `pid`. */
struct lock_owner {
	gint refs; /* the table's, and a request's while it is under way; atomic */
	uint64_t id;
	bool flock; /* record or OFD locks otherwise; the two do not meet */
	int fd;     /* the open file description that carries the locks */
	pid_t pid; /* the process that locked last: the answer to F_GETLK; protected by the table's lock */
	struct charge charge;        /* for `fd` */
	const struct handle *handle; /* an OFD or flock owner ends with this one */
};

struct lock_table {
	GMutex lock; /* no reply is sent while it is held; the lock of charge.c is taken below it */
	GHashTable *
		owners; /* a set of struct lock_owner *, by ID and sort; NULL until a process locks */
};

/* An owner as a request names it. */
struct lock_request {
	uint64_t id;
	bool flock;
	struct caller caller;        /* charged for the descriptor */
	pid_t pid;                   /* 0 if the request only asks for locks */
	const struct handle *handle; /* that the request came by */
	int file;                    /* a descriptor of the segment */
};

void lock_table_init(struct lock_table *table);

/* Only when no handle is left. */
void lock_table_clear(struct lock_table *table);

/*
 * The owner, made if need be, with a reference for the caller. 0, or -ENOLCK where the user has too
 * many descriptors (charge.h), or what open(2) says.
 */
int lock_table_get(struct lock_table *table, struct fs *fs, const struct lock_request *request,
	struct lock_owner **out);
void lock_owner_unref(struct lock_owner *owner);

/* close(2) by a descriptor table: its record locks on the file go, whichever descriptor it was. */
void lock_table_drop(struct lock_table *table, uint64_t id);

/* The last close of an open file description: the owners that came by this handle go. */
void lock_table_drop_handle(struct lock_table *table, const struct handle *handle);

/*
 * The process that holds `found`, an OFD lock that F_OFD_GETLK has reported to `asking`: -1 if the
 * lock was taken outside the mount, or where the segment has so many owners that they are not all
 * asked.
 */
pid_t lock_table_holder(struct lock_table *table, const struct lock_owner *asking,
	const struct flock *found);

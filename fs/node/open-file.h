/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open segments: the descriptors that exist because a process has the file open, and no longer.
 *
 * The first open of a node makes an `open_file`: descriptors that reach the file after a rename or
 * unlink outside, the backing id that lets the kernel serve the data by itself (passthrough), and
 * the locks. Every open(2) has a `handle` (node/handle.h), its address handed to the kernel as
 * `fh`, and its own act of opening, which leases, inode flags and O_TRUNC have to do with; but
 * handles of one access mode keep one descriptor among them, so that a file opened a thousand times
 * costs no more than one opened once. Handles and file_refs (node/file-ref.h) count as its users,
 * and the last of them closes it: an idle descriptor for writing would forbid execution. The last
 * handle's release closes the backing id and takes the `open_file` off the node; a file_ref keeps
 * the `open_file` and one descriptor beyond that.
 *
 * One backing id an inode: the kernel refuses a second one while the first is in use.
 */
#pragma once

#include "node/lock-table.h"

/*
 * A descriptor that its users share; open while there are any. Protected by the node table's lock.
 */
struct shared_fd {
	int fd;
	int users;
	struct charge charge; /* to the user who opened it first */
};

/* The access modes (four, one of them for ioctl(2) alone), without and with O_NOATIME. */
#define SHARED_FDS 8

struct open_file {
	/* Protected by the node table's lock. */
	int refs; /* handles and file_refs */
	int handles;
	int writers;                      /* handles that are open for writing */
	struct shared_fd fds[SHARED_FDS]; /* one at least has users */

	GMutex lock;    /* taken before the table's, never held across a reply */
	int backing_id; /* 0: none; protected by `lock` */
	bool direct;    /* no passthrough for this inode until it is closed; protected by `lock` */

	uint64_t generation;     /* constant: of the inode, for data files; else 0 */
	bool fixed_size;         /* constant: no write may change the size (System V) */
	struct lock_table locks; /* has a lock of its own */
};

/* With no handle and no descriptor yet. `direct`, `fixed_size`: as the fields of the same names. */
struct open_file *open_file_new(uint64_t generation, bool direct, bool fixed_size);

/* Only what open_file_new() made and nothing refers to. */
void open_file_free(struct open_file *file);

/* The descriptor for open(2) with these flags; it may have no users yet. */
struct shared_fd *open_file_fd(struct open_file *file, int flags);

/* Some descriptor that has users. The table's lock is held, and the file has a handle. */
struct shared_fd *open_file_any_fd_locked(struct open_file *file);

/*
 * Gives up one reference to the file and one use of the descriptor. The table's lock is not held.
 */
void open_file_unref(struct fs *fs, struct open_file *file, struct shared_fd *fd);

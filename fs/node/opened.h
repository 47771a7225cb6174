/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open segments: the descriptors that exist because somebody has the file open, and no longer.
 *
 * The first open of a node makes an `opened`: descriptors that reach the file after a rename or
 * unlink outside, the backing id that lets the kernel serve the data by itself (passthrough), and
 * the locks. Every open(2) has a `handle`, its address handed to the kernel as `fh`, and its own
 * act of opening, which leases, inode flags and O_TRUNC have to do with; but handles of one access
 * mode keep one descriptor among them, so that a file opened a thousand times costs no more than
 * one opened once. Handles and pins count as its users, and the last of them closes it: an idle
 * descriptor for writing would forbid execution. The last handle's release closes the backing id
 * and takes the `opened` off the node; who has it pinned keeps the `opened` and one descriptor.
 *
 * One backing id an inode: the kernel refuses a second one while the first is in use.
 */
#pragma once

#include "fs.h"
#include "identity.h"
#include "ops/lock.h"

/* A descriptor that its users share; open while there are any. Guarded by the node table's lock. */
struct access {
	int fd;
	int users;
	uid_t uid; /* who opened it, and is charged for it (charge.h) */
};

/* The access modes (four, one of them for ioctl(2) alone), without and with O_NOATIME. */
#define ACCESSES 8

struct opened {
	int refs;                         /* handles and pins; guarded by the node table's lock */
	int handles;                      /* likewise */
	int writers;                      /* those of them that are open for writing; likewise */
	struct access accesses[ACCESSES]; /* one at least has users; likewise */
	GMutex lock;         /* guards the rest; taken before the table's, never across a reply */
	int backing_id;      /* 0: none */
	bool direct;         /* no passthrough for this inode until it is closed */
	uint64_t generation; /* constant: of the inode, for data files; else 0 */
	bool fixed_size;     /* constant: no write may change the size (System V) */
	struct lock_table *locks; /* NULL until somebody locks */
};

struct handle {
	struct node *node;
	struct opened *opened;
	struct access *access;
	int fd;      /* of `access` */
	bool writes; /* open for writing */
};

/* A node's file for the length of one request, whether it is open or not. */
struct pin {
	struct opened *opened; /* if the node was open */
	struct access *access; /* likewise */
	int fd;              /* of some access mode, or O_PATH; -1: none, for handle_new() alone */
	uint64_t generation; /* of the inode, for data files */
	struct ownership owner; /* likewise, as of the opening; not if the node was open */
	bool direct;            /* as the kind says: never passthrough */
	bool fixed_size;
};

/* 0, or -ESTALE where the name leads elsewhere by now, or what open(2) says. */
int pin_node(struct fs *fs, struct node *node, struct pin *out);
void unpin_node(struct fs *fs, struct node *node, struct pin *pin);

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/*
 * Makes the handle of an open(2) and fills in what the kernel is told in `fi`. The pin and `fd`, a
 * descriptor opened as `fi->flags` say and charged to `uid`, are taken over. Call it as the daemon itself, never while wearing a caller's identity. NULL if the
 * node is open, but as another file than the pin's: a new one has its inode number.
 */
struct handle *handle_new(struct fs *fs, struct node *node, struct pin *pin, int fd, uid_t uid,
	struct fuse_file_info *fi);
void handle_free(struct fs *fs, struct handle *handle);

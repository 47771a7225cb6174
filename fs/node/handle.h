/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handles: what the kernel knows of one open(2) of a segment, by `fh` (node/open-file.h). */
#pragma once

#include "node/file-ref.h"

/* All is constant. */
struct handle {
	struct node *node;
	struct open_file *file;
	struct shared_fd *shared;
	int fd;      /* of `shared` */
	bool writes; /* open for writing */
};

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/*
 * Makes the handle of an open(2) and fills in what the kernel is told in `fi`. Takes over `ref` and
 * `fd`, a descriptor opened as `fi->flags` say, with the charge for it. Call it as the daemon
 * itself, never while wearing a caller's identity. NULL if the node is open, but as another file
 * than that of `ref`: a new one has its inode number.
 */
struct handle *handle_new(struct fs *fs, struct node *node, struct file_ref *ref, int fd,
	struct charge *charge, struct fuse_file_info *fi);
void handle_free(struct fs *fs, struct handle *handle);

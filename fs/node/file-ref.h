/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reaches a segment node's file for the length of one request, whether it is open or not: by a
 * descriptor of the open file, or else by the name, of which only the inode number is believed.
 */
#pragma once

#include "daemon/fs.h"
#include "daemon/identity.h"
#include "node/node.h"
#include "node/open-file.h"

struct file_ref {
	struct open_file *file;   /* if the node was open */
	struct shared_fd *shared; /* likewise */
	int fd;              /* of some access mode, or O_PATH; -1: none, for handle_new() alone */
	uint64_t generation; /* of the inode, for data files */
	struct ownership owner; /* likewise, as of the opening; not if the node was open */
	bool direct;            /* as the kind says: never passthrough */
	bool fixed_size;
};

/* 0, or -ESTALE where the name leads elsewhere by now, or what open(2) says. */
int file_ref_get(struct fs *fs, struct node *node, struct file_ref *out);
void file_ref_put(struct fs *fs, struct node *node, struct file_ref *ref);

/* As file_ref_get(), but finds the file anew even if the node is open. */
int file_ref_locate(struct fs *fs, struct node *node, struct file_ref *out);

/* stat(2) of a name in the root: -ENOENT for one that is not an object's. */
int stat_name(struct fs *fs, const char *name, struct stat *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a segment node to its file: follow the name, and believe only the inode number. */
#pragma once

#include "fs.h"
#include "node/opened.h"

/*
 * Fills in the pin of a node that nobody has open: 0, or -ESTALE where its name leads elsewhere by
 * now, or another negative errno.
 */
int locate_segment(struct fs *fs, struct node *node, struct pin *out);

/* stat(2) of the node's file, with the inode number that the mount shows. */
int locate_stat(struct fs *fs, struct node *node, struct stat *out);

/* stat(2) of a name in the root: -ENOENT for one that is not an object's. */
int locate_name(struct fs *fs, const char *name, struct stat *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends replies that hand over a node or a handle, or that say how long the kernel may keep what
 * they tell of a node. Where such a reply fails (reply.h), what it would have handed over is taken
 * back.
 */
#pragma once

#include "daemon/fs.h"
#include "node/handle.h"

/* Hands over one lookup of `node`. */
void reply_entry(struct fs *fs, fuse_req_t req, struct node *node, const struct stat *st);
void reply_attr(struct fs *fs, fuse_req_t req, const struct node *node, const struct stat *st);

/* Hands over the handle in `fi`; with `st`, one lookup of its node as well (create, tmpfile). */
void reply_open(struct fs *fs, fuse_req_t req, struct handle *handle, struct fuse_file_info *fi);
void reply_create(struct fs *fs, fuse_req_t req, struct handle *handle, const struct stat *st,
	struct fuse_file_info *fi);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every reply goes through here. A reply fails with ENOENT when its request was interrupted and
 * the kernel has given it up: then what the reply would have handed over is taken back.
 */
#pragma once

#include "fs.h"
#include "node/opened.h"

/* `result`: 0 or a negative errno. */
void reply_result(fuse_req_t req, int result);

/* Hands over one lookup of `node`. */
void reply_entry(struct fs *fs, fuse_req_t req, struct node *node, const struct stat *st);
void reply_attr(struct fs *fs, fuse_req_t req, const struct node *node, const struct stat *st);

/*
 * After a change, of an object or the root. The kernel believes this answer even if a notification
 * has overtaken it, so that it may not keep what the watch would have to take back.
 */
void reply_changed(struct fs *fs, fuse_req_t req, const struct stat *st);

/* Hands over the handle in `fi`; with `st`, one lookup of its node as well (create, tmpfile). */
void reply_open(struct fs *fs, fuse_req_t req, struct handle *handle, struct fuse_file_info *fi);
void reply_create(struct fs *fs, fuse_req_t req, struct handle *handle, const struct stat *st,
	struct fuse_file_info *fi);

void reply_buf(fuse_req_t req, const void *data, size_t size);
void reply_count(fuse_req_t req, ssize_t result);

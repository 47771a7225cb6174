/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends replies: every reply goes through here or through reply-node.h. A reply fails with ENOENT
 * when its request was interrupted and the kernel has given it up: then what the reply would have
 * handed over is to be taken back. Any other failure is logged here.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <sys/statvfs.h>

/* `result`: 0 or a negative errno. */
void reply_result(fuse_req_t req, int result);

/* For a request that has no answer (FORGET). */
void reply_none(fuse_req_t req);

void reply_buf(fuse_req_t req, const void *data, size_t size);

/* Bytes written, or a negative errno. */
void reply_count(fuse_req_t req, ssize_t result);

/* How long an extended attribute or the list of them is. */
void reply_xattr_size(fuse_req_t req, size_t size);

void reply_offset(fuse_req_t req, off_t offset);
void reply_link_target(fuse_req_t req, const char *target);
void reply_lock(fuse_req_t req, const struct flock *lock);
void reply_ioctl(fuse_req_t req, const void *data, size_t size);
/* What poll(2) is to find: POLLIN and the like. */
void reply_poll(fuse_req_t req, unsigned events);

/* The same for a file that is always ready: nobody waits. */
void reply_poll_of_file(fuse_req_t req, struct fuse_pollhandle *handle);

void reply_statfs(fuse_req_t req, const struct statvfs *st);
void reply_statx(fuse_req_t req, struct statx *stx, double attr_timeout);

/* Hands over `fi->fh`; false: the caller still has it, and is to free it. */
bool reply_fh(fuse_req_t req, const struct fuse_file_info *fi);

/* What a fuse_reply_*() call has returned: logs a failure that matters; true if it was sent. */
bool reply_sent(int r);

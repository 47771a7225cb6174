/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends replies: every reply goes through here or through reply-node.h. A reply fails with ENOENT when
 * its request was interrupted and the kernel has given it up: then the caller takes back what the
 * reply would have handed over. Any other failure is logged here.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <sys/types.h>

/* `result`: 0 or a negative errno. */
void reply_result(fuse_req_t req, int result);

void reply_buf(fuse_req_t req, const void *data, size_t size);

/* Bytes written, or a negative errno. */
void reply_count(fuse_req_t req, ssize_t result);

/* What a fuse_reply_*() call has returned: logs a failure that matters; true if it was sent. */
bool reply_sent(int r);

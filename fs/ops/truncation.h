/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notes who makes a segment shorter through the mount, for the table of bus errors. */
#pragma once

#include "daemon/fs.h"
#include "node/node.h"

/* Before the change. */
struct before_truncation {
	int64_t time;  /* CLOCK_REALTIME, ns */
	uint64_t size; /* bytes; 0: unknown */
};

/* `fd`: a descriptor of the file, of any sort. */
struct before_truncation truncation_begin(int fd);

/* To be called when the caller of that request has changed the size of the node's file. */
void truncation_end(struct fs *fs, fuse_req_t req, struct node *node,
	const struct before_truncation *before, uint64_t after);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notes who makes a segment shorter through the mount, for the table of bus errors. */
#pragma once

#include "daemon/fs.h"
#include "node/node.h"

/* The size of the file behind a descriptor of any sort, before the change; 0: unknown. */
uint64_t truncation_begin(int fd);

/* To be called when the caller of that request has changed the size of the node's file. */
void truncation_end(struct fs *fs, fuse_req_t req, struct node *node, uint64_t before,
	uint64_t after);

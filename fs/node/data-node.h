/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node remembers of a `data` file: the bytes of a segment that has no name in the root. To
 * the kernel these are files like the objects; only how the file is found, and who owns it, is the
 * kind's business (tree/data.h).
 */
#pragma once

#include "kinds/kind.h"

/* All but `item` is constant. */
struct data_node {
	const struct kind *kind;
	char realm[32];  /* the realm that the segment is in: tree_realm() */
	bool has_xattrs; /* a file of a tmpfs, not of the kernel's own mounts */
	/*
	 * As the kernel was last told: permissions are checked against this. Protected by the node
	 * table's lock; key and identity are constant.
	 */
	struct item item;
};

/* The node table's lock is held. */
static inline void data_node_update(struct data_node *data, const struct data_node *newer)
{
	data->item = newer->item;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node remembers of a `data` file: the bytes of a segment that has no name in the root. To the
 * kernel these are files like the objects; only how the file is found, and who owns it, is the
 * kind's business (tree/data.h).
 */
#pragma once

#include "kinds/kind.h"
#include "node/node.h"

/* All but `item` is constant. */
struct data_node {
	const struct kind *kind;
	char realm[32];  /* the realm that the segment is in: tree_realm() */
	bool has_xattrs; /* a file of a tmpfs, not of the kernel's own mounts */
	/*
	 * As the kernel was last told: permissions are checked against this. Protected by the node
	 * table's lock; key and stamp are constant.
	 */
	struct item item;
};

static inline bool is_data(const struct node *node)
{
	return node->type == NODE_SEGMENT && node->data;
}

/* The node table's lock is held. */
static inline void data_node_update(struct data_node *data, const struct data_node *newer)
{
	data->item = newer->item;
}

/* A copy of what the node remembers, as it is now. Caller frees. */
static inline struct data_node *data_node_copy(struct node_table *nodes, const struct node *node)
{
	struct data_node *copy;

	node_table_lock(nodes);
	copy = g_memdup2(node->data, sizeof *copy);
	node_table_unlock(nodes);
	return copy;
}

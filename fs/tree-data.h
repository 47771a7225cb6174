/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `data` files: bytes of segments that have no name in the root. To the kernel they are files
 * like the objects; only how the file is found, and who owns it, is the kind's business.
 */
#pragma once

#include "kind.h"
#include "opened.h"

/* What a node remembers of its segment: replaced as a whole, under the node table's lock. */
struct tree_data {
	const struct kind *kind;
	const struct realm *realm;
	struct item item; /* as the kernel was last told: permissions are checked against this */
};

static inline bool is_data(const struct node *node)
{
	return node->type == NODE_SEGMENT && node->data;
}

static inline uint64_t tree_data_stamp(const struct tree_data *data)
{
	return data->item.stamp;
}

static inline void tree_data_free(struct tree_data *data)
{
	g_free(data);
}

/* Whether a request on this node may have to wait for other processes. */
bool tree_data_waits(const struct node *node);

/* A node for the item's bytes, with one lookup counted, and what stat(1) shows of it. */
struct node *tree_data_lookup(struct fs *fs, const struct realm *realm, const struct item *item,
	struct stat *st);

int tree_data_open(struct fs *fs, struct node *node, struct pin *out);

/*
 * Before an open(2) joins those that have the node open: -ESTALE if the ID means another segment by
 * now, whose next lookup then gets a node of its own. The stamp of a System V segment does not tell
 * that for sure.
 */
int tree_data_check(struct fs *fs, struct node *node, const struct pin *pin);
int tree_data_stat(struct fs *fs, struct node *node, struct stat *out);

/*
 * Does that part of a setattr which the kind must do (owner, mode) or forbids (size), and takes it
 * off `to_set`.
 */
int tree_data_change(struct fs *fs, fuse_req_t req, struct node *node, const struct stat *attr,
	int *to_set);

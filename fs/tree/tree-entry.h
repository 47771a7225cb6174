/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the tree share among themselves. */
#pragma once

#include "tree/tree.h"

/* The places below a kind's directory, the same for all kinds. */
struct kind_entries {
	struct tree_entry directory, item, attribute, link;
};
const struct kind_entries *tree_entries(const struct kind *kind);

extern const struct tree_entry tree_namespaces, tree_other_realm;

/* tree_enter() with what the kind of the node needs for a stat or a listing. */
int tree_enter_kind(struct fs *fs, const struct node *node, struct tree_visit *out);

/* The item of that ID in a kind's directory (or of one, if `node` is below it). */
int tree_stat_item(struct fs *fs, const struct node *node, const char *id, struct item **out);

/* How `data` shows in an item's directory. */
enum item_data tree_data_form(const struct node *node);

/* Replies with the entry of a tree node, handing over one lookup. `item`: whose directory it is. */
void tree_reply(struct fs *fs, fuse_req_t req, struct node *node, const struct item *item);

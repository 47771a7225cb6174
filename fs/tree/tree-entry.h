/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entries of the tree (tree.h) say what each of its nodes stands for. The functions are those
 * that all nodes have in common.
 */
#pragma once

#include "daemon/fs.h"
#include "daemon/visit.h"
#include "kinds/kind.h"
#include "node/tree-node.h"
#include "tree/content.h"

/* The one name in the root that is not an object's. */
#define TREE_NAME ".shmtree"

/* The entries below a kind's directory, the same for all kinds. */
struct kind_entries {
	struct tree_entry directory, item, attribute, link, idle, idle_item;
};
const struct kind_entries *tree_entries(const struct kind *kind);

extern const struct tree_entry tree_top, tree_namespaces, tree_other_realm, tree_idle;

/* Whether a file directly under .shmtree is there. `own`: in the daemon's own realm. */
bool tree_has_file(const struct fs *fs, const struct tree_entry *file, bool own);

/* Returns the name of the realm that a node lies in (kinds/realms.h), "" for the daemon's own. */
const char *tree_realm(const struct node *node);

/* Whether a stat or listing of the node may have to wait for other processes. */
bool tree_waits(const struct node *node);

/* The same of its attributes: only those of an item are asked for. */
bool tree_stat_waits(const struct node *node);

/* visit_enter() with what the kind of the node needs for a stat or a listing. */
int tree_enter_kind(struct fs *fs, const struct node *node, struct visit *out);

/*
 * Finds the item of that ID in a kind's directory (`node`, or the one that `node` is below): -ENOENT as well
 * if `viewer` may not know of it.
 */
int tree_stat_item(struct fs *fs, const struct node *node, const char *id,
	const struct caller *viewer, struct item **out);

/* Returns how `data` shows in an item's directory. */
enum item_data tree_data_form(const struct node *node);

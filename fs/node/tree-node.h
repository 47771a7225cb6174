/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a node below .shmtree stands for. The tree (tree/tree-entry.h) makes the entries. */
#pragma once

#include "node/node.h"

#include <stdbool.h>

struct content;
struct fs;
struct kind;
struct view;

enum tree_type {
	TREE_TOP,
	TREE_NAMESPACES,
	TREE_REALM,
	TREE_FILE,
	TREE_KIND,
	TREE_ITEM,
	TREE_ATTRIBUTE,
	TREE_LINK,
	TREE_IDLE,
	TREE_IDLE_KIND,
	TREE_IDLE_ITEM
};

struct tree_entry {
	enum tree_type type;
	const char *name;        /* TREE_FILE */
	const struct kind *kind; /* TREE_KIND and below */
	/* TREE_FILE: facets that the census is held with for `show`; 0: which holds it itself */
	unsigned needs;
	bool each_realm; /* TREE_FILE: also of each other realm */
	bool for_all;    /* TREE_FILE: says the same whoever opens it */
	bool names;      /* TREE_FILE: has the names of objects */
	bool stream;     /* TREE_FILE: it has no end, and is not listed: `events` */
	/* TREE_FILE: whether there is one; NULL: always */
	bool (*present)(const struct fs *fs);
	/* Makes the content of a TREE_FILE. 0 or a negative errno. */
	int (*show)(struct fs *fs, const struct view *view, struct content *out);
};

/*
 * Whether the node's name and attributes never change: true for all but the directories of items
 * and of other realms, which come and go.
 */
static inline bool tree_is_fixed(const struct node *node)
{
	return node->type == NODE_TREE && node->entry->type != TREE_ITEM &&
		node->entry->type != TREE_IDLE_ITEM && node->entry->type != TREE_REALM;
}

/* Whether it is the directory of another realm, which comes and goes, but whose attributes never change. */
static inline bool tree_is_realm(const struct node *node)
{
	return node->type == NODE_TREE && node->entry->type == TREE_REALM;
}

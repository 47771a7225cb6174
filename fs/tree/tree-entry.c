/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree/tree-entry.h"

const struct tree_entry tree_top = { .type = TREE_TOP };
const struct tree_entry tree_namespaces = { .type = TREE_NAMESPACES, .name = "namespaces" };
const struct tree_entry tree_other_realm = { .type = TREE_REALM };
const struct tree_entry tree_idle = { .type = TREE_IDLE, .name = "idle" };

/* Creates the entries at the first call: the kinds are a table of core/. */
const struct kind_entries *tree_entries(const struct kind *kind)
{
	static gsize made;
	static GHashTable *all;

	if (g_once_init_enter(&made)) {
		all = g_hash_table_new(NULL, NULL);
		for (const struct kind *const *k = kinds; *k; k++) {
			struct kind_entries *e = g_new0(struct kind_entries, 1);

			e->directory = (struct tree_entry){ .type = TREE_KIND, .kind = *k };
			e->item = (struct tree_entry){ .type = TREE_ITEM, .kind = *k };
			e->attribute = (struct tree_entry){ .type = TREE_ATTRIBUTE, .kind = *k };
			e->link = (struct tree_entry){ .type = TREE_LINK, .kind = *k };
			e->idle = (struct tree_entry){ .type = TREE_IDLE_KIND, .kind = *k };
			e->idle_item = (struct tree_entry){ .type = TREE_IDLE_ITEM, .kind = *k };
			g_hash_table_insert(all, (gpointer)*k, e);
		}
		g_once_init_leave(&made, 1);
	}
	return g_hash_table_lookup(all, kind);
}

const char *tree_realm(const struct node *node)
{
	for (; node; node = node->parent)
		if (node->entry->type == TREE_REALM)
			return node->name;
	return "";
}

int tree_enter_kind(struct fs *fs, const struct node *node, struct visit *out)
{
	return visit_enter(fs, tree_realm(node), node->entry->kind->needs, out);
}

enum item_data tree_data_form(const struct node *node)
{
	enum item_data form = node->entry->kind->data;

	/* The root of the mount has no names of other realms to link to. */
	return form == DATA_LINK && *tree_realm(node) ? DATA_FILE : form;
}

bool tree_waits(const struct node *node)
{
	if (node->type != NODE_TREE || node->entry->type == TREE_TOP)
		return false;
	/* Finding out what is idle takes a census. */
	if (node->entry->type == TREE_IDLE_KIND || node->entry->type == TREE_IDLE_ITEM)
		return true;
	/* A foreign realm is found by a look at all processes. */
	return node->entry->type == TREE_NAMESPACES || *tree_realm(node) ||
		(node->entry->kind && (node->entry->kind->needs || node->entry->kind->slow));
}

bool tree_stat_waits(const struct node *node)
{
	return node->type == NODE_TREE &&
		(node->entry->type == TREE_ITEM || node->entry->type == TREE_IDLE_ITEM) &&
		tree_waits(node);
}

int tree_stat_item(struct fs *fs, const struct node *node, const char *id,
	const struct caller *viewer, struct item **out)
{
	struct visit visit;
	int r = tree_enter_kind(fs, node, &visit);

	if (r < 0)
		return r;
	visit.realm.viewer = viewer;
	r = node->entry->kind->stat(&visit.realm, id, out);
	visit_leave(fs, &visit);
	return r;
}

bool tree_has_file(const struct fs *fs, const struct tree_entry *file, bool own)
{
	return (own || file->each_realm) && (!file->present || file->present(fs));
}

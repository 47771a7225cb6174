/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "kinds/posix.h"
#include "node/data-node.h"
#include "serve/prune.h"
#include "tree/top-files.h"
#include "tree/tree-entry.h"

#define LONG_S 30 /* what was looked up before that is old */

static struct charges *charges;
static struct node_table *table;

static void set_up(void)
{
	charges = charges_new(NULL);
	table = node_table_new(charges);
}

static void tear_down(void)
{
	node_table_free(table);
	charges_free(charges);
}

static struct node *below(struct node *parent, const struct tree_entry *entry, const char *name)
{
	return node_lookup_tree(table, parent, entry, name);
}

/* Whether it is, once that time has passed since it was looked up. */
static bool goes(const struct node *node)
{
	return prune_is_old(node, node->looked_up + LONG_S);
}

static void what_was_looked_up_of_late_is_kept(void)
{
	struct node *node = node_lookup_object(table, 7, "one");
	uint32_t now = node_clock();

	CU_ASSERT(now - node->looked_up <= 1);
	CU_ASSERT(!prune_is_old(node, node->looked_up));
	CU_ASSERT(!prune_is_old(node, node->looked_up + LONG_S - 1));
	CU_ASSERT(prune_is_old(node, node->looked_up + LONG_S));
	CU_ASSERT(!prune_is_old(node, node->looked_up - 1)); /* looked up since */
	node->looked_up -= LONG_S;
	node_lookup_object(table, 7, "one");
	CU_ASSERT(!prune_is_old(node, now));
}

static void what_comes_and_goes_is_forgotten(void)
{
	const struct kind_entries *entries = tree_entries(&kind_posix);
	struct node *top = below(NULL, &tree_top, TREE_NAME);
	struct node *namespaces = below(top, &tree_namespaces, "namespaces");
	struct node *realm = below(namespaces, &tree_other_realm, "ipc-1");
	struct node *kind = below(realm, &entries->directory, "posix");
	struct node *item = below(kind, &entries->item, "one");
	struct data_node *data = g_new0(struct data_node, 1);

	CU_ASSERT(goes(below(item, &entries->attribute, "mappings")));
	CU_ASSERT(goes(below(item, &entries->link, "data")));
	CU_ASSERT(goes(node_lookup_data(table, 7, data)));
	CU_ASSERT(goes(item));
	CU_ASSERT(goes(kind));
	CU_ASSERT(goes(below(realm, tree_files, tree_files->name)));
	CU_ASSERT(goes(realm));
}

static void what_is_always_there_is_never_forgotten(void)
{
	const struct kind_entries *entries = tree_entries(&kind_posix);
	struct node *top = below(NULL, &tree_top, TREE_NAME);
	struct node *idle = below(top, &tree_idle, "idle");
	struct node *idle_kind = below(idle, &entries->idle, "posix");

	CU_ASSERT(!prune_is_old(node_root(table), node_clock()));
	CU_ASSERT(!goes(top));
	CU_ASSERT(!goes(below(top, &tree_namespaces, "namespaces")));
	CU_ASSERT(!goes(below(top, tree_files, tree_files->name)));
	CU_ASSERT(!goes(below(top, &entries->directory, "posix")));
	CU_ASSERT(!goes(idle));
	CU_ASSERT(!goes(idle_kind));
	CU_ASSERT(goes(below(idle_kind, &entries->idle_item, "one")));
}

/* The kernel looks up what is in an item's directory once, and the directory at each use. */
static void a_used_directory_keeps_what_is_in_it(void)
{
	const struct kind_entries *entries = tree_entries(&kind_posix);
	struct node *kind = below(NULL, &entries->directory, "posix");
	struct node *item = below(kind, &entries->item, "one");
	struct node *attribute = below(item, &entries->attribute, "mappings");
	uint32_t now = node_clock() + LONG_S;

	item->looked_up = now;
	CU_ASSERT(!prune_is_old(attribute, now));
	item->looked_up = now - LONG_S;
	CU_ASSERT(prune_is_old(attribute, now));
}

static CU_TestInfo tests[] = {
	{ "what was looked up of late is kept", what_was_looked_up_of_late_is_kept },
	{ "what comes and goes is forgotten", what_comes_and_goes_is_forgotten },
	{ "what is always there is never forgotten", what_is_always_there_is_never_forgotten },
	{ "a used directory keeps what is in it", a_used_directory_keeps_what_is_in_it },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo prune_suite = { "prune", NULL, NULL, set_up, tear_down, tests };

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "node/data-node.h"
#include "node/id-table.h"
#include "node/node.h"
#include "tree/tree-entry.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct charges *charges;
static const struct caller user = { .uid = 1000 };
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

static struct node *lookup_data(uint64_t ino, uint64_t size)
{
	struct data_node *data = g_new0(struct data_node, 1);

	data->item.size = size;
	return node_lookup_data(table, ino, data);
}

static void an_inode_has_one_node_whatever_its_names(void)
{
	struct node *node = node_lookup_object(table, 7, "one");
	struct node *other = node_lookup_object(table, 8, "eight");
	g_autofree char *name = NULL;

	CU_ASSERT_PTR_EQUAL(node_lookup_object(table, 7, "two"), node);
	CU_ASSERT_PTR_NOT_EQUAL(other, node);
	name = node_dup_name(table, node);
	ASSERT_STRING(name, "two");
	CU_ASSERT_PTR_EQUAL(node_from_id(table, node_id(table, node)), node);
	node_forget(table, node, 2);
	node_forget(table, other, 1);
}

static void the_root_is_never_forgotten(void)
{
	struct node *root = node_root(table);

	ASSERT_INT(node_id(table, root), FUSE_ROOT_ID);
	CU_ASSERT_PTR_EQUAL(node_from_id(table, FUSE_ROOT_ID), root);
	node_forget(table, root, 5);
	ASSERT_INT(root->type, NODE_ROOT);
}

static void a_node_lives_until_both_kernel_and_daemon_let_it_go(void)
{
	struct node *node = node_lookup_object(table, 7, "one");

	node_ref(table, node);
	node_forget(table, node, 1);
	CU_ASSERT_PTR_EQUAL(node_lookup_object(table, 7, "one"), node);
	node_unref(table, node);
	ASSERT_INT(node->nlookup, 1);
	node_forget(table, node, 1);
}

static void what_is_forgotten_is_subtracted(void)
{
	struct node *node = node_lookup_object(table, 7, "one");

	node_lookup_object(table, 7, "one");
	node_lookup_object(table, 7, "one");
	node_forget(table, node, 2);
	ASSERT_INT(node->nlookup, 1);
	node_forget(table, node, 1);
}

static void a_child_keeps_its_parent(void)
{
	struct node *top = node_lookup_tree(table, NULL, &tree_top, TREE_NAME);
	struct node *child = node_lookup_tree(table, top, &tree_namespaces, "namespaces");

	node_forget(table, top, 1);
	CU_ASSERT_PTR_EQUAL(node_lookup_tree(table, NULL, &tree_top, TREE_NAME), top);
	node_forget(table, top, 1);
	CU_ASSERT_PTR_EQUAL(child->parent, top);
	ASSERT_INT(top->refs, 1);
	node_forget(table, child, 1);
}

/* If many names had one, each lookup would pass all of them. */
static void each_name_has_a_number_of_its_own(void)
{
	struct node *top = node_lookup_tree(table, NULL, &tree_top, TREE_NAME);
	uint64_t one = node_tree_ino(top, "ab");

	CU_ASSERT(node_tree_ino(top, "ab") == one);
	CU_ASSERT(node_tree_ino(top, "ac") != one);
	CU_ASSERT(node_tree_ino(top, "ba") != one);
	CU_ASSERT(node_tree_ino(NULL, "ab") != one);
	node_forget(table, top, 1);
}

static void a_lookup_brings_a_data_node_up_to_date(void)
{
	struct node *node = lookup_data(7, 100);
	g_autofree struct data_node *copy = NULL;

	CU_ASSERT_PTR_EQUAL(lookup_data(7, 200), node);
	copy = node_copy_data(table, node);
	ASSERT_INT(copy->item.size, 200);
	CU_ASSERT(is_data(node));
	node_forget(table, node, 2);
}

static void an_orphan_is_found_no_more(void)
{
	struct node *old = lookup_data(7, 100), *young;

	node_orphan(table, old);
	node_orphan(table, old);
	CU_ASSERT(node_is_orphan(table, old));
	young = lookup_data(7, 200);
	CU_ASSERT_PTR_NOT_EQUAL(young, old);
	CU_ASSERT(!node_is_orphan(table, young));
	node_forget(table, old, 1);
	CU_ASSERT_PTR_EQUAL(lookup_data(7, 300), young);
	node_forget(table, young, 2);
}

/* The kernel unmounts without a word of what it still knows: the sanitizer would see what is not freed. */
static void what_is_not_forgotten_goes_with_the_table(void)
{
	struct node *old = lookup_data(7, 100), *young;

	node_orphan(table, old);
	young = lookup_data(7, 200);
	node_ref(table, old);
	CU_ASSERT_PTR_NOT_EQUAL(young, old);
	node_lookup_tree(table, node_lookup_tree(table, NULL, NULL, "parent"), NULL, "child");
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void a_grace_fd_is_closed_with_its_node(void)
{
	struct node *node = node_lookup_object(table, 7, "one");
	int fd = open("/dev/null", O_PATH | O_CLOEXEC), copy;

	ASSERT_INT(node_dup_grace_fd(table, node), -ENOENT);
	CU_ASSERT(node_keep_grace_fd(table, 7, fd, &user));
	CU_ASSERT(!node_keep_grace_fd(table, 7, fd, &user));
	copy = node_dup_grace_fd(table, node);
	CU_ASSERT(copy >= 0 && copy != fd);
	close(copy);
	CU_ASSERT(is_open(fd));
	node_forget(table, node, 1);
	CU_ASSERT(!is_open(fd));
}

static void the_kernel_must_know_what_is_kept(void)
{
	int fd = open("/dev/null", O_PATH | O_CLOEXEC);

	CU_ASSERT(!node_keep_grace_fd(table, 7, fd, &user));
	CU_ASSERT(is_open(fd));
	close(fd);
}

static void grace_fds_of_one_user_are_limited(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_GRACE_FDS);
	struct node *node = node_lookup_object(table, 7, "one");
	int fd = open("/dev/null", O_PATH | O_CLOEXEC);
	struct charge others;

	ASSERT_INT(charge_take(charges, &user, CHARGE_GRACE_FDS, limit, &others), 0);
	CU_ASSERT(!node_keep_grace_fd(table, 7, fd, &user));
	charge_release(&others);
	CU_ASSERT(node_keep_grace_fd(table, 7, fd, &user));
	node_forget(table, node, 1);
	ASSERT_INT(charge_take(charges, &user, CHARGE_GRACE_FDS, limit, &others), 0);
	charge_release(&others);
}

static void visit(const struct node *node, fuse_ino_t id, void *data)
{
	GHashTable *seen = data;

	CU_ASSERT_PTR_EQUAL(node_from_id(table, id), node);
	CU_ASSERT(g_hash_table_add(seen, (gpointer)node));
}

/* More than one part of the table, of which the first is nearly empty. */
static void each_node_is_visited_once(void)
{
	enum { N = 10000, LEFT = 5000 };
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	struct node **nodes = g_new(struct node *, N);
	uint32_t part = 0;

	for (unsigned i = 0; i < N; i++)
		nodes[i] = node_lookup_object(table, i + 1, "one");
	for (unsigned i = 1; i < N - LEFT; i++)
		node_forget(table, nodes[i], 1);
	while (node_each(table, part, visit, seen))
		part++;
	CU_ASSERT(part > 1);
	ASSERT_INT(g_hash_table_size(seen), LEFT + 1);
	CU_ASSERT(g_hash_table_contains(seen, nodes[0]));
	CU_ASSERT(g_hash_table_contains(seen, nodes[N - 1]));
	g_free(nodes);
}

static void some_thousand_nodes_are_many(void)
{
	for (unsigned i = 1; i < 4096; i++)
		node_lookup_object(table, i, "one");
	CU_ASSERT(!node_table_crowded(table));
	node_lookup_object(table, 4096, "one");
	CU_ASSERT(node_table_crowded(table));
}

/* Waits for the thread that ends it; the watchdog of the tests is the time limit. */
static void of_an_object_with_two_names_it_is_closed_soon(void)
{
	struct node *node = node_lookup_object(table, 7, "one");
	int fd = open("/dev/null", O_PATH | O_CLOEXEC), copy;

	node_lookup_object(table, 7, "two");
	CU_ASSERT(node_keep_grace_fd(table, 7, fd, &user));
	while ((copy = node_dup_grace_fd(table, node)) >= 0) {
		close(copy);
		g_usleep(1000);
	}
	ASSERT_INT(copy, -ENOENT);
	node_forget(table, node, 2);
}

/* One past the last of a run of numbers that the table gives. */
static uint32_t give_numbers(struct id_table *ids, uint32_t first, uint32_t n)
{
	static uint64_t somebody;

	while (n > 0 && id_table_add(ids, &somebody) == first)
		first++, n--;
	return first;
}

static void take_back_numbers(struct id_table *ids, uint32_t first, uint32_t n)
{
	while (n-- > 0)
		id_table_remove(ids, first++);
}

/* The memory of a block without any goes back to the system. */
static void numbers_that_were_given_back_are_given_again(void)
{
	enum { BLOCK = 4096 };
	struct id_table *ids = id_table_new();

	ASSERT_INT(give_numbers(ids, 1, 3 * BLOCK), 3 * BLOCK + 1);
	take_back_numbers(ids, 1, 1);
	take_back_numbers(ids, BLOCK + 1, BLOCK);
	CU_ASSERT_PTR_NULL(id_table_get(ids, BLOCK + 1));
	CU_ASSERT_PTR_NOT_NULL(id_table_get(ids, 2 * BLOCK + 1));
	ASSERT_INT(give_numbers(ids, 1, 1), 2);
	ASSERT_INT(give_numbers(ids, BLOCK + 1, BLOCK), 2 * BLOCK + 1);
	take_back_numbers(ids, 1, 3 * BLOCK);
	id_table_free(ids);
}

static CU_TestInfo tests[] = {
	{ "numbers that were given back are given again",
		numbers_that_were_given_back_are_given_again },
	{ "an inode has one node, whatever its names", an_inode_has_one_node_whatever_its_names },
	{ "the root is never forgotten", the_root_is_never_forgotten },
	{ "a node lives until both kernel and daemon let it go",
		a_node_lives_until_both_kernel_and_daemon_let_it_go },
	{ "what is forgotten is subtracted", what_is_forgotten_is_subtracted },
	{ "a child keeps its parent", a_child_keeps_its_parent },
	{ "each name has a number of its own", each_name_has_a_number_of_its_own },
	{ "a lookup brings a data node up to date", a_lookup_brings_a_data_node_up_to_date },
	{ "an orphan is found no more", an_orphan_is_found_no_more },
	{ "what is not forgotten goes with the table", what_is_not_forgotten_goes_with_the_table },
	{ "a grace descriptor is closed with its node", a_grace_fd_is_closed_with_its_node },
	{ "nothing is kept of what the kernel does not know", the_kernel_must_know_what_is_kept },
	{ "grace descriptors of one user are limited, and given back",
		grace_fds_of_one_user_are_limited },
	{ "each node is visited once", each_node_is_visited_once },
	{ "some thousand nodes are many", some_thousand_nodes_are_many },
	{ "an object with two names loses its grace descriptor soon",
		of_an_object_with_two_names_it_is_closed_soon },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo node_suite = { "node", NULL, NULL, set_up, tear_down, tests };

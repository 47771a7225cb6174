/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "daemon/fs.h"
#include "kinds/posix.h"
#include "node/data-node.h"
#include "serve/prune.h"
#include "serve/workers.h"
#include "tree/top-files.h"
#include "tree/tree-entry.h"

#include <linux/fuse.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* Till that is answered a page of it may be on its way, which the kernel would wait for. */
static void what_is_open_is_kept(void)
{
	struct node *node = node_lookup_object(table, 7, "one");
	static char file;

	node->file = (void *)&file;
	CU_ASSERT(!goes(node));
	node->file = NULL;
	CU_ASSERT(goes(node));
}

#define NODES 5000 /* enough for it to be worth while */

struct message {
	struct fuse_out_header header;
	uint32_t count, padding;
	uint64_t spare;
	uint64_t nodes[NODES];
};

/* A mount of which the test is the kernel, with so many nodes, all old. */
struct mount {
	struct fs fs;
	struct fuse_args args;
	int kernel;
	uint64_t first; /* of the numbers of its nodes, which follow each other */
};

static ssize_t no_request(int fd, void *buffer, size_t size, void *data)
{
	(void)fd, (void)buffer, (void)size, (void)data;
	return 0;
}

static ssize_t no_answer(int fd, struct iovec *iov, int count, void *data)
{
	(void)fd, (void)iov, (void)count, (void)data;
	return 0;
}

static void mount_open(struct mount *mount)
{
	static const struct fuse_custom_io io = { .read = no_request, .writev = no_answer };
	static const struct fuse_lowlevel_ops ops;
	static char name[] = "unit", *argv[] = { name };
	int ends[2];

	*mount = (struct mount){ .args = FUSE_ARGS_INIT(1, argv) };
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	mount->kernel = ends[0];
	mount->fs.session = fuse_session_new(&mount->args, &ops, sizeof ops, NULL);
	CU_ASSERT_FATAL(mount->fs.session != NULL);
	CU_ASSERT_FATAL(fuse_session_custom_io(mount->fs.session, &io, sizeof io, ends[1]) == 0);
	mount->fs.nodes = table;
	mount->fs.workers = workers_new();
	mount->fs.pruned = node_clock() - LONG_S;
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = node_lookup_object(table, 100 + i, "one");

		node->looked_up -= LONG_S;
		if (i == 0)
			mount->first = node_id(table, node);
	}
}

/* Ends the daemon's side, once no worker sends any more. */
static void mount_end(struct mount *mount)
{
	while (workers_pending(mount->fs.workers) > 0)
		g_usleep(1000);
	workers_free(mount->fs.workers);
	fuse_session_destroy(mount->fs.session);
	fuse_opt_free_args(&mount->args);
}

static void each_old_node_is_named_once(void)
{
	g_autofree struct message *message = g_new0(struct message, 1);
	struct mount mount;
	uint64_t next;
	ssize_t n;

	mount_open(&mount);
	next = mount.first;
	prune_if_due(&mount.fs);
	prune_if_due(&mount.fs); /* so soon it is not due */
	while (next < mount.first + NODES &&
		(n = recv(mount.kernel, message, sizeof *message, 0)) > 0) {
		ASSERT_INT(message->header.unique, 0);
		ASSERT_INT(message->header.error, 9);
		ASSERT_INT(message->header.len, n);
		ASSERT_INT(n, 32 + message->count * 8);
		CU_ASSERT(message->count > 0);
		for (uint32_t i = 0; i < message->count; i++)
			ASSERT_INT(message->nodes[i], next++);
	}
	ASSERT_INT(next, mount.first + NODES);
	mount_end(&mount);
	ASSERT_INT(mount.fs.prunes, 0);
	ASSERT_INT(recv(mount.kernel, message, sizeof *message, 0), 0);
	close(mount.kernel);
}

static void sends_nothing(struct mount *mount)
{
	char byte;

	prune_if_due(&mount->fs);
	mount_end(mount);
	ASSERT_INT(recv(mount->kernel, &byte, 1, 0), 0);
	close(mount->kernel);
}

static void one_worker_at_a_time_does_it(void)
{
	struct mount mount;

	mount_open(&mount);
	mount.fs.prunes = 1;
	sends_nothing(&mount);
}

static void a_thread_that_was_overtaken_does_nothing(void)
{
	struct mount mount;

	mount_open(&mount);
	mount.fs.pruned = node_clock() + LONG_S; /* another one has looked, and later */
	sends_nothing(&mount);
}

static void it_ends_with_the_mount(void)
{
	struct mount mount;

	mount_open(&mount);
	fuse_session_exit(mount.fs.session);
	sends_nothing(&mount);
}

static CU_TestInfo tests[] = {
	{ "what was looked up of late is kept", what_was_looked_up_of_late_is_kept },
	{ "what comes and goes is forgotten", what_comes_and_goes_is_forgotten },
	{ "what is always there is never forgotten", what_is_always_there_is_never_forgotten },
	{ "a used directory keeps what is in it", a_used_directory_keeps_what_is_in_it },
	{ "what is open is kept", what_is_open_is_kept },
	{ "each old node is named once", each_old_node_is_named_once },
	{ "one worker at a time does it", one_worker_at_a_time_does_it },
	{ "a thread that was overtaken does nothing", a_thread_that_was_overtaken_does_nothing },
	{ "it ends with the mount", it_ends_with_the_mount },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo prune_suite = { "prune", NULL, NULL, set_up, tear_down, tests };

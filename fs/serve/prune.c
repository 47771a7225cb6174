/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/prune.h"

#include "daemon/fs.h"
#include "node/tree-node.h"
#include "serve/defer.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

/* Not yet in the headers of all systems: <linux/fuse.h> of Linux 6.18, FUSE_NOTIFY_PRUNE. */
#define NOTIFY_PRUNE 9

/* Nodes in one message. */
#define NODES_MAX 1024

/* Seconds for which what was looked up is kept; and those from one look at all nodes to the next. */
#define KEPT_S 30
#define PAUSE_S 10

struct prune_message {
	struct fuse_out_header header;
	uint32_t count;
	uint32_t padding;
	uint64_t spare;
	uint64_t nodes[NODES_MAX];
};

/*
 * The node whose lookups tell when this one was used: names in an item's directory never change, so that
 * the kernel looks each up once, but the directory each time.
 */
static const struct node *looked_up_for(const struct node *node)
{
	return tree_is_fixed(node) ? node->parent : node;
}

/* Whether it is one of the few that are always there, and for which the daemon has no use to forget. */
static bool is_permanent(const struct node *node)
{
	if (node->type != NODE_TREE)
		return node->type == NODE_ROOT;
	switch (node->entry->type) {
	case TREE_FILE:
	case TREE_KIND:
		return !node->parent || !tree_is_realm(node->parent);
	case TREE_ATTRIBUTE:
	case TREE_LINK:
	case TREE_ITEM:
	case TREE_IDLE_ITEM:
	case TREE_REALM:
		return false;
	default:
		return true;
	}
}

bool prune_is_old(const struct node *node, uint32_t now)
{
	/* Negative if it was looked up again since `now`. */
	return !is_permanent(node) && !node_is_open(node) &&
		(int32_t)(now - looked_up_for(node)->looked_up) >= KEPT_S;
}

/* 0, or a negative errno: -EINVAL where the kernel does not know the message. */
static int send_message(struct fs *fs, const uint64_t *nodes, uint32_t n)
{
	struct prune_message message = {
		.header = { .error = NOTIFY_PRUNE },
		.count = n,
	};

	message.header.len = offsetof(struct prune_message, nodes) + n * sizeof *nodes;
	memcpy(message.nodes, nodes, n * sizeof *nodes);
	return write(fuse_session_fd(fs->session), &message, message.header.len) < 0 ? -errno : 0;
}

static int prune_nodes(struct fs *fs, const GArray *nodes)
{
	int r = 0;

	for (guint i = 0; r == 0 && i < nodes->len; i += NODES_MAX)
		r = send_message(fs, &g_array_index(nodes, uint64_t, i),
			MIN(nodes->len - i, NODES_MAX));
	return r;
}

struct old_nodes {
	uint32_t now;
	GArray *ids;
};

static void add_if_old(const struct node *node, fuse_ino_t id, void *data)
{
	const struct old_nodes *old = data;

	if (prune_is_old(node, old->now))
		g_array_append_val(old->ids, id);
}

/* A directory is in use while the kernel has names in it, and goes with the last of them. */
static void prune(struct fs *fs, struct deferred *d)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct old_nodes old = { node_clock(), ids };
	int r = 0;

	(void)d;
	for (uint32_t part = 0; r == 0 && !fuse_session_exited(fs->session); part++) {
		g_array_set_size(ids, 0);
		if (!node_each(fs->nodes, part, add_if_old, &old))
			break;
		r = prune_nodes(fs, ids);
	}
	/* Other errors do not last: a lack of memory, or the end of the mount. */
	if (r == -EINVAL)
		g_atomic_int_set(&fs->never_prunes, 1);
	g_atomic_int_set(&fs->prunes, 0);
}

/* One at a time: a worker may begin late, and of many nodes take longer than the pause. */
static void have_pruned(struct fs *fs)
{
	struct deferred d = { 0 };

	if (g_atomic_int_compare_and_exchange(&fs->prunes, 0, 1))
		defer_if(fs, true, &d, prune);
}

void prune_if_due(struct fs *fs)
{
	guint now = node_clock(), last = g_atomic_int_get(&fs->pruned);

	/* Negative if another thread has looked since `now`. */
	if ((gint)(now - last) < PAUSE_S ||
		!g_atomic_int_compare_and_exchange(&fs->pruned, last, now))
		return;
	if (!g_atomic_int_get(&fs->never_prunes) && node_table_crowded(fs->nodes))
		have_pruned(fs);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/reply-node.h"

#include "node/data-node.h"
#include "node/tree-node.h"
#include "serve/reply.h"

/*
 * How long the kernel may believe a reply. The tree's fixed places never change, and what they say
 * is made when they are opened. Of the rest nothing may be kept, unless the user said so by option:
 * not even the attributes that come with a name until they are used within the same system call,
 * for the kernel may give them to another one that began later.
 */
#define FOR_EVER 1e6

/*
 * The directory of an item is the exception. Its mode, which is all that decides who may enter it,
 * never changes; the owner and the time are the object's. A path that leads through it is looked up
 * each time, which brings new attributes, and the check of permissions, or stat(2), that follows
 * finds them at hand: without that it asked again, at each step of each path. So only who has the
 * directory open may see the owner or the time of a tick of the kernel's clock ago, or two.
 */
#define SAME_WALK 1e-3

/*
 * Where the daemon checks permissions, the kernel has to ask each time for what is in a directory
 * that not everybody may search: the root, some day, and those of other realms.
 */
static bool all_may_search_above(const struct node *node)
{
	return node->parent && node->parent->entry->type != TREE_REALM;
}

static double entry_timeout(const struct fs *fs, const struct node *node)
{
	if (tree_is_fixed(node) && (fs->kernel_permits || all_may_search_above(node)))
		return FOR_EVER;
	return fs->options.entry_timeout;
}

static double attr_timeout(const struct fs *fs, const struct node *node)
{
	if (tree_is_fixed(node) || tree_is_realm(node))
		return FOR_EVER;
	if (node->type == NODE_TREE)
		return MAX(SAME_WALK, fs->options.attr_timeout);
	return fs->options.attr_timeout;
}

static struct fuse_entry_param entry_param(struct fs *fs, const struct node *node,
	const struct stat *st)
{
	return (struct fuse_entry_param){
		.ino = node_id(fs->nodes, node),
		.generation = node->ino,
		.attr = *st,
		.attr_timeout = attr_timeout(fs, node),
		.entry_timeout = entry_timeout(fs, node),
	};
}

void reply_entry(struct fs *fs, fuse_req_t req, struct node *node, const struct stat *st)
{
	struct fuse_entry_param entry = entry_param(fs, node, st);

	if (!reply_sent(fuse_reply_entry(req, &entry)))
		node_forget(fs->nodes, node, 1);
}

void reply_attr(struct fs *fs, fuse_req_t req, const struct node *node, const struct stat *st)
{
	reply_sent(fuse_reply_attr(req, st, attr_timeout(fs, node)));
}

void reply_open(struct fs *fs, fuse_req_t req, struct handle *handle, struct fuse_file_info *fi)
{
	if (!reply_fh(req, fi))
		handle_free(fs, handle);
}

void reply_create(struct fs *fs, fuse_req_t req, struct handle *handle, const struct stat *st,
	struct fuse_file_info *fi)
{
	struct node *node = handle->node;
	struct fuse_entry_param entry = entry_param(fs, node, st);

	if (!reply_sent(fuse_reply_create(req, &entry, fi))) {
		handle_free(fs, handle);
		node_forget(fs->nodes, node, 1);
	}
}

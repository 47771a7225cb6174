/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Creation and removal of items, by mkdir and rmdir of their directories. */
#include "daemon/identity.h"
#include "daemon/tell.h"
#include "daemon/log.h"
#include "serve/defer.h"
#include "serve/reply.h"
#include "tree/tree.h"

#include <string.h>

static int create_item(struct fs *fs, struct deferred *d, struct item **out)
{
	const struct kind *kind = d->node->entry->kind;
	const struct caller caller = identity_caller(d->req);
	mode_t mode = d->mode & ~fuse_req_ctx(d->req)->umask & 0777;
	struct event_act *act;
	struct fsuid id;
	int r = kind->permit ? kind->permit(&fs->realm, NULL, &caller, W_OK) : 0;

	if (r < 0)
		return r;
	act = tell_begin(d->req, TELLS(EVENT_CREATED), NULL, 0);
	identity_begin(&id, d->req);
	do
		r = kind->create(&fs->realm, d->name, mode, &caller, out);
	while (fsuid_retry(&id, r));
	fsuid_end(&id);
	tell_end(d->req, act, r, r < 0 ? 0 : (*out)->key.ino);
	return r;
}

/* The number of the item that has this ID, while events are read; else 0. */
static uint64_t inode_if_told(struct fs *fs, const struct kind *kind, const char *id)
{
	g_autofree struct item *item = NULL;

	return events_on(fs->events) && kind->stat(&fs->realm, id, &item) == 0 ? item->key.ino : 0;
}

/*
 * Calls the kind with the daemon's credentials; where the caller's rights decide, the kind takes
 * them on.
 */
static int remove_item(struct fs *fs, struct deferred *d)
{
	const struct kind *kind = d->node->entry->kind;
	const struct caller caller = identity_caller(d->req);
	struct event_act *act;
	int r = kind->permit ? kind->permit(&fs->realm, NULL, &caller, W_OK) : 0;

	if (r == 0) {
		act = tell_begin(d->req, TELLS(EVENT_REMOVED), d->name,
			inode_if_told(fs, kind, d->name));
		r = kind->remove(&fs->realm, d->name, &caller);
		tell_end(d->req, act, r, 0);
	}
	if (r > 0) {
		g_autofree char *name = g_strescape(d->name, NULL);

		log_line("%s/%s was removed, and somebody came to use it at that instant",
			kind->directory, name);
	}
	return MIN(r, 0);
}

/*
 * The item gets a directory of its own ID, not of the name that mkdir(2) was given: KEY:SIZE is
 * answered with an entry that the next lookup does not find.
 */
static void mkdir_now(struct fs *fs, struct deferred *d)
{
	const struct tree_entry *entry = &tree_entries(d->node->entry->kind)->item;
	g_autofree struct item *item = NULL;
	int r = create_item(fs, d, &item);

	if (r < 0)
		reply_result(d->req, r);
	else
		tree_reply(fs, d->req, node_lookup_tree(fs->nodes, d->node, entry, d->name), item);
}

static void rmdir_now(struct fs *fs, struct deferred *d)
{
	reply_result(d->req, remove_item(fs, d));
}

void tree_mkdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name, mode_t mode)
{
	struct deferred d = { .req = req, .node = parent, .mode = mode, .locks_directory = true };

	if (*tree_realm(parent))
		reply_result(req, -EROFS);
	else if (parent->entry->type != TREE_KIND || !parent->entry->kind->create)
		reply_result(req, -EPERM);
	else if (g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name)
		reply_result(req, -ENAMETOOLONG);
	else
		defer_if(fs, tree_waits(parent), &d, mkdir_now);
}

static bool holds_items(const struct node *parent)
{
	return parent->entry->type == TREE_KIND || parent->entry->type == TREE_IDLE_KIND;
}

void tree_rmdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name)
{
	struct deferred d = { .req = req, .node = parent, .locks_directory = true };

	if (*tree_realm(parent))
		reply_result(req, -EROFS);
	else if (!holds_items(parent) || !parent->entry->kind->remove)
		reply_result(req, -EPERM);
	else if (g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name)
		reply_result(req, -ENAMETOOLONG);
	else
		defer_if(fs, true, &d, rmdir_now); /* it may ask the census, and free many pages */
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree/tree.h"

#include "base/tmpfs.h"
#include "base/util.h"
#include "daemon/permit.h"
#include "kinds/idle.h"
#include "kinds/nested.h"
#include "kinds/posix.h"
#include "kinds/realms.h"
#include "kinds/unlinked.h"
#include "serve/defer.h"
#include "serve/reply-node.h"
#include "serve/reply.h"
#include "tree/data.h"
#include "serve/event-stream.h"
#include "tree/top-files.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Attributes */

/* Whether the content, or listing, of an entry has the names of objects. */
static bool shows_names(const struct tree_entry *entry)
{
	if (entry->type == TREE_KIND || entry->type == TREE_IDLE_KIND)
		return entry->kind == &kind_posix || entry->kind == &kind_nested ||
			entry->kind == &kind_unlinked;
	return entry->type == TREE_FILE && entry->names;
}

/*
 * Gives the attributes the owner and read permissions of SOURCE, unless everyone may list SOURCE: a
 * caller that may not must not learn from the tree what is in it.
 */
static void restrict_to_listers(const struct fs *fs, struct stat *out)
{
	const mode_t listers = S_IRUSR | S_IRGRP | S_IROTH;
	struct stat source;

	if (fstat(fs->shm_fd, &source) < 0)
		source = (struct stat){ 0 };
	/* Whom an ACL denies what others may, no mode tells. */
	if (tmpfs_has_acl(fs->shm_fd))
		source.st_mode &= S_IRUSR;
	if ((source.st_mode & listers) == listers)
		return;
	out->st_mode &= ~listers | (source.st_mode & listers);
	out->st_uid = source.st_uid;
	out->st_gid = source.st_gid;
}

/* Whether what a directory lists, or a file says, may be other at each look: mappings, for instance. */
static bool is_made_anew(const struct node *node)
{
	switch (node->entry->type) {
	case TREE_TOP:
	case TREE_REALM:
	case TREE_IDLE:
	case TREE_LINK:
		return false;
	default:
		return true;
	}
}

/*
 * An item has its own time. All else has not changed its status since the daemon started, which is what
 * tar(1) compares before and after it reads; but to a program that reads again only what was modified,
 * as updatedb(8) does, what is made anew is modified at each look.
 */
static void fill_times(const struct fs *fs, const struct node *node, const struct item *item,
	struct stat *out)
{
	out->st_mtim = out->st_ctim = item ? item->mtime : fs->started;
	if (!item && is_made_anew(node))
		clock_gettime(CLOCK_REALTIME, &out->st_mtim);
	out->st_atim = out->st_mtim;
}

/*
 * Fills in the attributes of a node. A kind's directory is writable for everyone: the kind decides,
 * with the rights of the caller, who may remove or create what in it.
 */
static void fill_stat(struct fs *fs, const struct node *node, const struct item *item,
	struct stat *out)
{
	static const mode_t modes[] = {
		[TREE_TOP] = S_IFDIR | 0555,
		[TREE_NAMESPACES] = S_IFDIR | 0500,
		[TREE_REALM] = S_IFDIR | 0500,
		[TREE_FILE] = S_IFREG | 0444,
		[TREE_KIND] = S_IFDIR | 0777,
		[TREE_ITEM] = S_IFDIR | 0555,
		[TREE_ATTRIBUTE] = S_IFREG | 0444,
		[TREE_LINK] = S_IFLNK | 0777,
		[TREE_IDLE] = S_IFDIR | 0555,
		[TREE_IDLE_KIND] = S_IFDIR | 0777,
		[TREE_IDLE_ITEM] = S_IFDIR | 0555,
	};

	*out = (struct stat){
		.st_ino = node->ino,
		.st_mode = modes[node->entry->type],
		.st_nlink = S_ISDIR(modes[node->entry->type]) ? 2 : 1,
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_blksize = 4096,
	};
	if (item) {
		out->st_uid = item->uid;
		out->st_gid = item->gid;
	}
	fill_times(fs, node, item, out);
	/* The size is what the removal would free, for ls(1). */
	if (item && node->entry->type == TREE_IDLE_ITEM && item->segment)
		out->st_size = item->size;
	if (node->entry->stream)
		out->st_size = event_streams_size(fs);
	if (shows_names(node->entry))
		restrict_to_listers(fs, out);
}

/*
 * Finds the item if it is idle, with the time since when it is as its time of modification; else
 * -ENOENT.
 */
static int stat_idle(struct fs *fs, const struct node *node, const char *id, struct item **out)
{
	struct timespec since;
	int r = idle_stat(&fs->realm, node->entry->kind, id, out, &since);

	if (r == 0)
		(*out)->mtime = since;
	return is_shortage(r) ? -EIO : r;
}

int tree_stat(struct fs *fs, struct node *node, const struct caller *viewer, struct stat *out)
{
	g_autofree struct item *item = NULL;
	int r = 0;

	if (node->entry->type == TREE_ITEM)
		r = tree_stat_item(fs, node, node->name, viewer, &item);
	else if (node->entry->type == TREE_IDLE_ITEM)
		r = stat_idle(fs, node, node->name, &item);
	if (r == 0)
		fill_stat(fs, node, item, out);
	return r == -ENOENT ? -ESTALE : r;
}

struct ownership tree_ownership(struct fs *fs, const struct node *node)
{
	struct stat st;

	fill_stat(fs, node, NULL, &st);
	return (struct ownership){ st.st_mode, st.st_uid, st.st_gid };
}

int tree_permit(struct fs *fs, fuse_req_t req, const struct node *node, int want)
{
	const mode_t all = want << 6 | want << 3 | want;
	struct ownership owner;

	if (fs->kernel_permits)
		return 0;
	owner = tree_ownership(fs, node);
	return (owner.mode & all) == all || identity_permits(req, &owner, want) ? 0 : -EACCES;
}

/* Names */

void tree_reply(struct fs *fs, fuse_req_t req, struct node *node, const struct item *item)
{
	struct stat st;

	fill_stat(fs, node, item, &st);
	reply_entry(fs, req, node, &st);
}

/*
 * Finds the file or directory of that name directly under .shmtree, or in another realm's
 * directory.
 */
static const struct tree_entry *find_entry(struct fs *fs, const struct realm *realm,
	const char *name)
{
	bool own = realm == &fs->realm;

	for (const struct tree_entry *file = tree_files; file->name; file++)
		if (strcmp(name, file->name) == 0 && tree_has_file(fs, file, own))
			return file;
	for (const struct kind *const *k = kinds; *k; k++)
		if (strcmp(name, (*k)->directory) == 0 && (*k)->present(realm))
			return &tree_entries(*k)->directory;
	if (own && strcmp(name, tree_idle.name) == 0)
		return &tree_idle;
	return own && strcmp(name, tree_namespaces.name) == 0 ? &tree_namespaces : NULL;
}

static void reply_found(struct fs *fs, const struct deferred *d, const struct tree_entry *entry)
{
	if (entry)
		tree_reply(fs, d->req, node_lookup_tree(fs->nodes, d->node, entry, d->name), NULL);
	else
		reply_result(d->req, -ENOENT);
}

static void lookup_realm(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	struct visit visit;
	int r = realms_permit(&fs->realm, d->name, &caller);

	if (r == 0)
		r = visit_enter(fs, d->name, 0, &visit);
	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	visit_leave(fs, &visit);
	reply_found(fs, d, &tree_other_realm);
}

static void lookup_in_realm(struct fs *fs, struct deferred *d)
{
	const struct tree_entry *entry;
	struct visit visit;
	int r = visit_enter(fs, tree_realm(d->node), 0, &visit);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	entry = find_entry(fs, &visit.realm, d->name);
	visit_leave(fs, &visit);
	reply_found(fs, d, entry);
}

static void lookup_item(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	g_autofree struct item *item = NULL;
	int r = tree_stat_item(fs, d->node, d->name, &caller, &item);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	tree_reply(fs, d->req,
		node_lookup_tree(fs->nodes, d->node, &tree_entries(d->node->entry->kind)->item,
			d->name),
		item);
}

static const struct tree_entry *find_idle(const struct realm *realm, const char *name)
{
	for (const struct kind *const *k = kinds; *k; k++)
		if (strcmp(name, (*k)->directory) == 0 && idle_has(*k) && (*k)->present(realm))
			return &tree_entries(*k)->idle;
	return NULL;
}

static void lookup_idle(struct fs *fs, struct deferred *d)
{
	g_autofree struct item *item = NULL;
	int r = stat_idle(fs, d->node, d->name, &item);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	tree_reply(fs, d->req,
		node_lookup_tree(fs->nodes, d->node, &tree_entries(d->node->entry->kind)->idle_item,
			d->name),
		item);
}

static void lookup_data(struct fs *fs, struct deferred *d, const struct item *item)
{
	struct stat st;
	struct node *node = tree_data_lookup(fs, tree_realm(d->node), item, &st);

	reply_entry(fs, d->req, node, &st);
}

static void lookup_in_item(struct fs *fs, struct deferred *d)
{
	const struct kind_entries *entries = tree_entries(d->node->entry->kind);
	bool data = strcmp(d->name, "data") == 0;
	const struct caller caller = identity_caller(d->req);
	g_autofree struct item *item = NULL;
	int r = tree_stat_item(fs, d->node, d->node->name, &caller, &item);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	if (data && tree_data_form(d->node) == DATA_FILE)
		lookup_data(fs, d, item);
	else if (data && tree_data_form(d->node) == DATA_LINK)
		tree_reply(fs, d->req,
			node_lookup_tree(fs->nodes, d->node, &entries->link, d->name), NULL);
	else if (item_attribute(item, d->name))
		tree_reply(fs, d->req,
			node_lookup_tree(fs->nodes, d->node, &entries->attribute, d->name), NULL);
	else
		reply_result(d->req, -ENOENT);
}

/* A worker is for realms that are found by a look at all processes. */
static void begin_lookup_of_realm(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);

	if (realms_at_hand(&fs->realm, d->name, &caller))
		reply_found(fs, d, &tree_other_realm);
	else
		defer_if(fs, true, d, lookup_realm);
}

/*
 * Whether to look up in the directory may take long. Into another /dev/shm leads a path that the kernel
 * has in memory; calls in another IPC namespace take a thread.
 */
static bool lookup_waits(struct fs *fs, const struct node *directory)
{
	const struct kind *kind = directory->entry->kind;
	const char *name = tree_realm(directory);
	struct foreign_realm realm;

	return tree_waits(directory) &&
		(kind->needs || kind->slow || !realms_parse_name(name, &realm) ||
			realm.type != REALM_SHM || !realms_at_hand(&fs->realm, name, NULL));
}

void tree_lookup(struct fs *fs, fuse_req_t req, struct node *parent, const char *name)
{
	struct deferred d = { .req = req, .node = parent, .locks_directory = true };

	if ((parent ? tree_permit(fs, req, parent, X_OK) : permit_search(fs, req)) < 0) {
		reply_result(req, LOOKUP_REFUSED);
		return;
	}
	if (parent && g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name) {
		reply_result(req, -ENAMETOOLONG);
		return;
	}
	if (!parent) {
		tree_reply(fs, req, node_lookup_tree(fs->nodes, NULL, &tree_top, name), NULL);
		return;
	}
	switch (parent->entry->type) {
	case TREE_TOP:
		reply_found(fs, &d, find_entry(fs, &fs->realm, name));
		break;
	case TREE_NAMESPACES:
		begin_lookup_of_realm(fs, &d);
		break;
	case TREE_REALM:
		defer_if(fs, !realms_at_hand(&fs->realm, tree_realm(parent), NULL), &d,
			lookup_in_realm);
		break;
	case TREE_KIND:
		defer_if(fs, lookup_waits(fs, parent), &d, lookup_item);
		break;
	case TREE_ITEM:
		defer_if(fs,
			strcmp(name, "data") == 0 ? tree_waits(parent) : lookup_waits(fs, parent),
			&d, lookup_in_item);
		break;
	case TREE_IDLE:
		reply_found(fs, &d, find_idle(&fs->realm, name));
		break;
	case TREE_IDLE_KIND:
		defer_if(fs, true, &d, lookup_idle);
		break;
	case TREE_IDLE_ITEM:
		reply_result(req, -ENOENT);
		break;
	default:
		reply_result(req, -ENOTDIR);
	}
}

/* Replies with the target of .shmtree/posix/NAME/data, three directories below the object. */
void tree_readlink(struct fs *fs, fuse_req_t req, struct node *node)
{
	g_autofree char *target = NULL;

	(void)fs;
	if (node->type != NODE_TREE || node->entry->type != TREE_LINK) {
		reply_result(req, -EINVAL);
		return;
	}
	target = g_strconcat("../../../", node->parent->name, NULL);
	reply_link_target(req, target);
}

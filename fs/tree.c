/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree.h"

#include "defer.h"
#include "identity.h"
#include "ops.h"
#include "reply.h"
#include "tree-data.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The places below a kind's directory, the same for all kinds. */
struct kind_entries {
	struct tree_entry directory, item, attribute, link;
};

static const struct tree_entry top = { .type = TREE_TOP };

/* Made at the first question: the kinds are a table of core's. */
static const struct kind_entries *entries_of(const struct kind *kind)
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
			g_hash_table_insert(all, (gpointer)*k, e);
		}
		g_once_init_leave(&made, 1);
	}
	return g_hash_table_lookup(all, kind);
}

const struct realm *tree_realm(struct fs *fs, const struct node *node)
{
	(void)node;
	return &fs->realm;
}

int tree_hold(struct fs *fs, unsigned needs)
{
	return needs ? census_hold(fs->census, needs) : 0;
}

void tree_drop(struct fs *fs, unsigned needs)
{
	if (needs)
		census_release(fs->census);
}

struct caller tree_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct caller){ .uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid };
}

bool tree_waits(const struct node *node)
{
	return node->type == NODE_TREE && node->entry->type >= TREE_KIND && node->entry->kind->needs;
}

static int stat_item(struct fs *fs, const struct node *node, const char *id, struct item **out)
{
	const struct kind *kind = node->entry->kind;
	int r = tree_hold(fs, kind->needs);

	if (r < 0)
		return r;
	r = kind->stat(tree_realm(fs, node), id, out);
	tree_drop(fs, kind->needs);
	return r;
}

/* Attributes */

/*
 * A kind's directory is writable for everyone: who may remove or create what in it is for the kind
 * to say, as the caller.
 */
static void fill_stat(const struct node *node, const struct item *item, struct stat *out)
{
	static const mode_t modes[] = {
		[TREE_TOP] = S_IFDIR | 0555,
		[TREE_FILE] = S_IFREG | 0444,
		[TREE_KIND] = S_IFDIR | 0777,
		[TREE_ITEM] = S_IFDIR | 0555,
		[TREE_ATTRIBUTE] = S_IFREG | 0444,
		[TREE_LINK] = S_IFLNK | 0777,
	};

	*out = (struct stat){
		.st_ino = node->ino,
		.st_mode = modes[node->entry->type],
		.st_nlink = S_ISDIR(modes[node->entry->type]) ? 2 : 1,
		.st_blksize = 4096,
	};
	clock_gettime(CLOCK_REALTIME, &out->st_mtim);
	if (item) {
		out->st_uid = item->uid;
		out->st_gid = item->gid;
		out->st_mtim = item->mtime;
	}
	out->st_atim = out->st_ctim = out->st_mtim;
}

static void getattr_item(struct fs *fs, struct deferred *d)
{
	g_autofree struct item *item = NULL;
	struct stat st;
	int r = stat_item(fs, d->node, d->node->name, &item);

	if (r < 0) {
		reply_result(d->req, r == -ENOENT ? -ESTALE : r);
		return;
	}
	fill_stat(d->node, item, &st);
	reply_attr(fs, d->req, d->node, &st);
}

void tree_getattr(struct fs *fs, fuse_req_t req, struct node *node)
{
	struct deferred d = { .req = req, .node = node };
	struct stat st;

	if (node->entry->type == TREE_ITEM) {
		defer_if(fs, tree_waits(node), &d, getattr_item);
		return;
	}
	fill_stat(node, NULL, &st);
	reply_attr(fs, req, node, &st);
}

/* Names */

static void reply_node(struct fs *fs, fuse_req_t req, struct node *node, const struct item *item)
{
	struct stat st;

	fill_stat(node, item, &st);
	reply_entry(fs, req, node, &st);
}

/* The file or the kind of that name directly under .shmtree. */
static const struct tree_entry *find_in_top(struct fs *fs, const struct node *parent,
	const char *name)
{
	for (const struct tree_entry *file = tree_files; file->name; file++)
		if (strcmp(name, file->name) == 0)
			return file;
	for (const struct kind *const *k = kinds; *k; k++)
		if (strcmp(name, (*k)->directory) == 0 && (*k)->present(tree_realm(fs, parent)))
			return &entries_of(*k)->directory;
	return NULL;
}

static void lookup_item(struct fs *fs, struct deferred *d)
{
	g_autofree struct item *item = NULL;
	int r = stat_item(fs, d->node, d->name, &item);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	reply_node(fs, d->req,
		node_lookup_tree(fs->nodes, d->node, &entries_of(d->node->entry->kind)->item, d->name), item);
}

static void lookup_data(struct fs *fs, struct deferred *d, const struct item *item)
{
	struct stat st;
	struct node *node = tree_data_lookup(fs, tree_realm(fs, d->node), item, &st);

	reply_entry(fs, d->req, node, &st);
}

static void lookup_in_item(struct fs *fs, struct deferred *d)
{
	const struct kind *kind = d->node->entry->kind;
	const struct kind_entries *entries = entries_of(kind);
	g_autofree struct item *item = NULL;
	int r = stat_item(fs, d->node, d->node->name, &item);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	if (strcmp(d->name, "data") == 0 && kind->data == DATA_FILE)
		lookup_data(fs, d, item);
	else if (strcmp(d->name, "data") == 0 && kind->data == DATA_LINK)
		reply_node(fs, d->req, node_lookup_tree(fs->nodes, d->node, &entries->link, d->name), NULL);
	else if (item_attribute(item, d->name))
		reply_node(fs, d->req, node_lookup_tree(fs->nodes, d->node, &entries->attribute, d->name),
			NULL);
	else
		reply_result(d->req, -ENOENT);
}

void tree_lookup(struct fs *fs, fuse_req_t req, struct node *parent, const char *name)
{
	struct deferred d = { .req = req, .node = parent };
	const struct tree_entry *entry;

	if (!parent) {
		reply_node(fs, req, node_lookup_tree(fs->nodes, NULL, &top, name), NULL);
		return;
	}
	if (g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name) {
		reply_result(req, -ENAMETOOLONG);
		return;
	}
	switch (parent->entry->type) {
	case TREE_TOP:
		entry = find_in_top(fs, parent, name);
		if (entry)
			reply_node(fs, req, node_lookup_tree(fs->nodes, parent, entry, name), NULL);
		else
			reply_result(req, -ENOENT);
		break;
	case TREE_KIND:
		defer_if(fs, tree_waits(parent), &d, lookup_item);
		break;
	case TREE_ITEM:
		defer_if(fs, tree_waits(parent), &d, lookup_in_item);
		break;
	default:
		reply_result(req, -ENOTDIR);
	}
}

/* .shmtree/posix/NAME/data, three directories below the object. */
void tree_readlink(struct fs *fs, fuse_req_t req, struct node *node)
{
	g_autofree char *target = NULL;

	(void)fs;
	if (node->type != NODE_TREE || node->entry->type != TREE_LINK) {
		reply_result(req, -EINVAL);
		return;
	}
	target = g_strconcat("../../../", node->parent->name, NULL);
	fuse_reply_readlink(req, target);
}

/* Creation and removal of items */

static int create_item(struct fs *fs, struct deferred *d, struct item **out)
{
	const struct kind *kind = d->node->entry->kind;
	const struct caller caller = tree_caller(d->req);
	struct identity id;
	int r;

	identity_begin(&id, d->req);
	do
		r = kind->create(tree_realm(fs, d->node), d->name,
			d->mode & ~fuse_req_ctx(d->req)->umask & 0777, &caller, out);
	while (identity_retry(&id, r));
	identity_end(&id);
	return r;
}

static int remove_item(struct fs *fs, struct deferred *d)
{
	const struct kind *kind = d->node->entry->kind;
	const struct caller caller = tree_caller(d->req);
	struct identity id;
	int r;

	identity_begin(&id, d->req);
	do
		r = kind->remove(tree_realm(fs, d->node), d->name, &caller);
	while (identity_retry(&id, r));
	identity_end(&id);
	return r;
}

/*
 * The item gets a directory of its own ID, not of the name that mkdir(2) was given: KEY:SIZE is
 * answered with an entry that the next lookup does not find.
 */
static void mkdir_now(struct fs *fs, struct deferred *d)
{
	g_autofree struct item *item = NULL;
	int r = create_item(fs, d, &item);

	if (r < 0)
		reply_result(d->req, r);
	else
		reply_node(fs, d->req,
			node_lookup_tree(fs->nodes, d->node, &entries_of(d->node->entry->kind)->item, d->name),
			item);
}

static void rmdir_now(struct fs *fs, struct deferred *d)
{
	reply_result(d->req, remove_item(fs, d));
}

void tree_mkdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name, mode_t mode)
{
	struct deferred d = { .req = req, .node = parent, .mode = mode };

	if (parent->entry->type != TREE_KIND || !parent->entry->kind->create)
		reply_result(req, -EPERM);
	else if (g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name)
		reply_result(req, -ENAMETOOLONG);
	else
		defer_if(fs, tree_waits(parent), &d, mkdir_now);
}

void tree_rmdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name)
{
	struct deferred d = { .req = req, .node = parent };

	if (parent->entry->type != TREE_KIND || !parent->entry->kind->remove)
		reply_result(req, -EPERM);
	else if (g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name)
		reply_result(req, -ENAMETOOLONG);
	else
		defer_if(fs, tree_waits(parent), &d, rmdir_now);
}

/* Listings */

struct lister {
	const struct node *node;
	tree_name_visitor visit;
	void *data;
};

static void list_name(const struct lister *l, const char *name, mode_t type)
{
	l->visit(name, node_tree_ino(l->node, name), type, l->data);
}

static void list_item(const struct item *item, void *data)
{
	list_name(data, item->id, S_IFDIR);
}

static void list_attribute(const struct attribute *attribute, void *data)
{
	list_name(data, attribute->name, S_IFREG);
}

static void list_top(struct fs *fs, const struct lister *l)
{
	for (const struct tree_entry *file = tree_files; file->name; file++)
		list_name(l, file->name, S_IFREG);
	for (const struct kind *const *k = kinds; *k; k++)
		if ((*k)->present(tree_realm(fs, l->node)))
			list_name(l, (*k)->directory, S_IFDIR);
}

static int list_in_item(struct fs *fs, struct lister *l)
{
	const struct kind *kind = l->node->entry->kind;
	g_autofree struct item *item = NULL;
	int r = stat_item(fs, l->node, l->node->name, &item);

	if (r < 0)
		return r;
	item_each_attribute(item, list_attribute, l);
	if (kind->data == DATA_LINK)
		list_name(l, "data", S_IFLNK);
	else if (kind->data == DATA_FILE)
		l->visit("data", census_mount_ino(fs->census, &item->key), S_IFREG, l->data);
	return 0;
}

int tree_each_name(struct fs *fs, struct node *node, tree_name_visitor visit, void *data)
{
	struct lister l = { .node = node, .visit = visit, .data = data };
	const struct kind *kind = node->entry->kind;
	int r;

	switch (node->entry->type) {
	case TREE_TOP:
		list_top(fs, &l);
		return 0;
	case TREE_KIND:
		r = tree_hold(fs, kind->needs);
		if (r < 0)
			return r;
		r = kind->each(tree_realm(fs, node), list_item, &l);
		tree_drop(fs, kind->needs);
		return r;
	case TREE_ITEM:
		return list_in_item(fs, &l);
	default:
		return -ENOTDIR;
	}
}

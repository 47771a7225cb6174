/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual directories under .shmtree: a few files about the whole, and a directory for each
 * kind of shared memory (kind.h) with one for each of its items, whose attributes are files.
 *
 *	.shmtree/          TREE_TOP
 *	  status           TREE_FILE
 *	  posix/           TREE_KIND
 *	    NAME/          TREE_ITEM
 *	      mappings     TREE_ATTRIBUTE
 *	      data         TREE_LINK, or a segment node (tree/data.h)
 *	  namespaces/      TREE_NAMESPACES, for root alone
 *	    ipc-NUMBER/    TREE_REALM, with the kinds' directories of another realm
 *
 * A node here is a place, not a segment: what it stands for is looked up by its name each time.
 * What a file says is made when it is opened (content.h).
 */
#pragma once

#include "tree/content.h"
#include "fs.h"
#include "kinds/kind.h"

enum tree_type {
	TREE_TOP,
	TREE_NAMESPACES,
	TREE_REALM,
	TREE_FILE,
	TREE_KIND,
	TREE_ITEM,
	TREE_ATTRIBUTE,
	TREE_LINK
};

struct tree_entry {
	enum tree_type type;
	const char *name;        /* TREE_FILE */
	const struct kind *kind; /* TREE_KIND and below */
	unsigned needs;          /* TREE_FILE: facets that the census is held with for `show` */
	bool each_realm;         /* TREE_FILE: also of each other realm */
	/* Makes the content of a TREE_FILE. 0 or a negative errno. */
	int (*show)(struct fs *fs, const struct view *view, struct content *out);
};

/* The files directly under .shmtree, ended by one without a name (top-files.c). */
extern const struct tree_entry tree_files[];

/* Handlers of requests on tree nodes, which reply. `parent` NULL: the root of the mount. */
void tree_lookup(struct fs *fs, fuse_req_t req, struct node *parent, const char *name);
void tree_readlink(struct fs *fs, fuse_req_t req, struct node *node);
void tree_mkdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name, mode_t mode);
void tree_rmdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name);
void tree_open(struct fs *fs, fuse_req_t req, struct node *node, struct fuse_file_info *fi);
void tree_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void tree_release(struct fs *fs, struct fuse_file_info *fi);

/* What stat(1) shows of it; -ESTALE if it stands for something that has gone. */
int tree_stat(struct fs *fs, struct node *node, struct stat *out);

/* The names in a directory of the tree, for a listing; `visit` gets a stat's ino and type. */
typedef void (*tree_name_visitor)(const char *name, uint64_t ino, mode_t type, void *data);
int tree_each_name(struct fs *fs, struct node *node, tree_name_visitor visit, void *data);

/* Whether a listing of it may have to wait for other processes. */
bool tree_waits(const struct node *node);

/*
 * Whether it is a place whose name and attributes never change: all but the directories of items
 * and of others' realms, which come and go.
 */
static inline bool tree_is_fixed(const struct node *node)
{
	return node->type == NODE_TREE && node->entry->type != TREE_ITEM &&
		node->entry->type != TREE_REALM;
}

/* The name of the realm that a node lies in (namespaces.h), "" for the daemon's own. */
const char *tree_namespace(const struct node *node);

/*
 * A realm for the length of one request, and with it the census, held for what `needs` says. 0, or
 * a negative errno: -ENOENT where the last process of a namespace is gone.
 */
struct tree_visit {
	struct realm realm;
	unsigned needs;
};
int tree_enter(struct fs *fs, const char *namespace, unsigned needs, struct tree_visit *out);
void tree_leave(struct fs *fs, struct tree_visit *visit);

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
 *	      data         TREE_LINK, or a segment node (tree-data.h)
 *
 * A node here is a place, not a segment: what it stands for is looked up by its name each time.
 * What a file says is made when it is opened (content.h).
 */
#pragma once

#include "content.h"
#include "fs.h"
#include "kind.h"

enum tree_type { TREE_TOP, TREE_FILE, TREE_KIND, TREE_ITEM, TREE_ATTRIBUTE, TREE_LINK };

struct tree_entry {
	enum tree_type type;
	const char *name;         /* TREE_FILE */
	const struct kind *kind;  /* TREE_KIND and below */
	unsigned needs;           /* TREE_FILE: facets that the census is held with for `show` */
	/* Makes the content of a TREE_FILE. 0 or a negative errno. */
	int (*show)(struct fs *fs, const struct caller *caller, struct content *out);
};

/* The files directly under .shmtree, ended by one without a name (files.c). */
extern const struct tree_entry tree_files[];

/* Handlers of requests on tree nodes, which reply. `parent` NULL: the root of the mount. */
void tree_lookup(struct fs *fs, fuse_req_t req, struct node *parent, const char *name);
void tree_getattr(struct fs *fs, fuse_req_t req, struct node *node);
void tree_readlink(struct fs *fs, fuse_req_t req, struct node *node);
void tree_mkdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name, mode_t mode);
void tree_rmdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name);
void tree_open(struct fs *fs, fuse_req_t req, struct node *node, struct fuse_file_info *fi);
void tree_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void tree_release(struct fs *fs, struct fuse_file_info *fi);

/* The names in a directory of the tree, for a listing; `visit` gets a stat's ino and type. */
typedef void (*tree_name_visitor)(const char *name, uint64_t ino, mode_t type, void *data);
int tree_each_name(struct fs *fs, struct node *node, tree_name_visitor visit, void *data);

/* Whether a listing of it may have to wait for other processes. */
bool tree_waits(const struct node *node);

/* Whether it is a place whose name and attributes never change: all but an item's directory. */
static inline bool tree_is_fixed(const struct node *node)
{
	return node->type == NODE_TREE && node->entry->type != TREE_ITEM;
}

/* The realm that a node lies in. */
const struct realm *tree_realm(struct fs *fs, const struct node *node);

/* Holds the census if `needs` says so: 0 or a negative errno. */
int tree_hold(struct fs *fs, unsigned needs);
void tree_drop(struct fs *fs, unsigned needs);

/* On whose behalf a request is. */
struct caller tree_caller(fuse_req_t req);

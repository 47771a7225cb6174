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
 *	  idle/            TREE_IDLE
 *	    posix/         TREE_IDLE_KIND, with those items of a kind that are idle
 *	      NAME/        TREE_IDLE_ITEM, which is empty
 *	  namespaces/      TREE_NAMESPACES, for root alone
 *	    ipc-NUMBER/    TREE_REALM, with the kinds' directories of another realm; all that is
 *	                   below it is read-only (-EROFS)
 *
 * A node of the tree stands for a name, not for a segment: what has that name is looked up each
 * time. The content of a file is made when it is opened (content.h).
 */
#pragma once

#include "tree/tree-entry.h"

/* Handlers of requests on tree nodes, which reply. `parent` NULL: the root of the mount. */
void tree_lookup(struct fs *fs, fuse_req_t req, struct node *parent, const char *name);
void tree_readlink(struct fs *fs, fuse_req_t req, struct node *node);
void tree_mkdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name, mode_t mode);
void tree_rmdir(struct fs *fs, fuse_req_t req, struct node *parent, const char *name);
void tree_open(struct fs *fs, fuse_req_t req, struct node *node, struct fuse_file_info *fi);
void tree_read(fuse_req_t req, const struct node *node, size_t size, off_t off,
	struct fuse_file_info *fi);
void tree_poll(fuse_req_t req, const struct node *node, struct fuse_file_info *fi,
	struct fuse_pollhandle *handle);
void tree_release(struct fs *fs, const struct node *node, const struct fuse_file_info *fi);

/* Fills in what stat(1) shows of a node to a caller; -ESTALE if it stands for something that is gone. */
int tree_stat(struct fs *fs, struct node *node, const struct caller *viewer, struct stat *out);

/* What decides who may do what to the node, with the owner of the directory for an item. */
struct ownership tree_ownership(struct fs *fs, const struct node *node);

/* Whether the caller may `want` (R_OK, W_OK, X_OK) the node: 0 or -EACCES. */
int tree_permit(struct fs *fs, fuse_req_t req, const struct node *node, int want);

/*
 * Calls `visit` for each name that the caller may see in a directory of the tree, with the inode number and type that
 * stat(2) would tell.
 */
typedef void (*tree_name_visitor)(const char *name, uint64_t ino, mode_t type, void *data);
int tree_each_name(struct fs *fs, struct node *node, const struct caller *viewer,
	tree_name_visitor visit, void *data);

/*
 * Replies with the entry of a tree node, and hands one lookup over to the kernel. `item`: the item
 * whose directory it is; NULL for other nodes.
 */
void tree_reply(struct fs *fs, fuse_req_t req, struct node *node, const struct item *item);

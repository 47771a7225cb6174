/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `data` files: bytes of segments that have no name in the root. To the kernel they are files
 * like the objects; only how the file is found, and who owns it, is the kind's business.
 */
#pragma once

#include "node/data-node.h"
#include "node/handle.h"

/* Whether it belongs to the realm of others, and so is read-only. */
static inline bool is_foreign_data(const struct node *node)
{
	return is_data(node) && *node->data->realm;
}

/* Whether a request on this node may have to wait for other processes. */
bool tree_data_waits(const struct node *node);

/* A node for the item's bytes, with one lookup counted, and what stat(1) shows of it. */
struct node *tree_data_lookup(struct fs *fs, const char *namespace, const struct item *item,
	struct stat *st);

/*
 * R_OK and W_OK as the flags of open(2) have them; the fourth mode, for ioctl(2) alone, wants both.
 */
int tree_data_wanted(int flags);

/*
 * Whether the caller may have the bytes of a `data` file for `want` (R_OK, W_OK), or change its
 * size or times by its path: 0 or a negative errno. Asked before the file is looked for, which for
 * a System V segment means to attach it: the kernel opens files for some calls, file_getattr(2) for
 * one, without checking any permission. The file behind it may be less strict than the segment is
 * (a memfd is 0777).
 */
int tree_data_permit(struct fs *fs, fuse_req_t req, struct node *node, int want);

/*
 * Whether an open(2) may go on with this file_ref: 0, or a negative errno.
 *
 * The kernel has checked the permission on what it knew of the inode number. The identity of a
 * System V segment does not tell for sure that its file is the segment that it knew: then the
 * permission is checked again on the very segment that was opened; and an open(2) that joins others
 * which have the node open is -ESTALE if theirs is another one by now, whose next lookup then gets
 * a node of its own.
 */
int tree_data_check(struct fs *fs, fuse_req_t req, struct node *node, const struct file_ref *ref,
	int flags);
int tree_data_stat(struct fs *fs, struct node *node, const struct caller *viewer, struct stat *out);

/*
 * Does that part of a setattr which the kind must do (owner, mode) or forbids (size), and takes it
 * off `to_set`.
 */
int tree_data_change(struct fs *fs, fuse_req_t req, struct node *node, const struct stat *attr,
	int *to_set);

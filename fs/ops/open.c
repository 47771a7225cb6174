/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/ops.h"

#include "defer.h"
#include "identity.h"
#include "node/pin.h"
#include "node/opened.h"
#include "reply.h"
#include "reply-node.h"
#include "tree/tree.h"
#include "tree/data.h"
#include "base/util.h"

#include <fcntl.h>
#include <string.h>

/* Flags of the caller's open(2) that matter to the daemon's own descriptor. */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_NOATIME)

/* Of a file just created or found by O_CREAT: its node and handle, and the reply. */
static void reply_created(struct fs *fs, fuse_req_t req, const char *name, int fd,
	struct fuse_file_info *fi)
{
	auto_fd file = fd;
	struct pin pin = { .fd = -1 };
	struct node *node;
	struct stat st;

	if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode) || st.st_dev != fs->shm_dev) {
		quota_give(fs->quota, fuse_req_ctx(req)->uid, QUOTA_DESCRIPTORS, 1);
		reply_result(req, -EPERM);
		return;
	}
	node = node_lookup_object(fs->nodes, st.st_ino, name);
	reply_create(fs, req,
		handle_new(fs, node, &pin, steal_fd(&file), fuse_req_ctx(req)->uid, fi), &st, fi);
}

/*
 * As the caller throughout: the object may have come into being since the kernel looked, and then
 * nobody has checked whether this caller may open it. The descriptor is charged to the caller.
 */
static int create_as_caller(struct fs *fs, fuse_req_t req, const char *name, mode_t mode, int flags)
{
	uid_t uid = fuse_req_ctx(req)->uid;
	struct identity id;
	int fd = quota_take(fs->quota, uid, QUOTA_DESCRIPTORS, 1);

	if (fd < 0)
		return fd;
	identity_begin(&id, req);
	identity_umask(fuse_req_ctx(req)->umask);
	if (mode & S_ISGID)
		identity_groups(&id);
	do {
		fd = openat(fs->shm_fd, name,
			flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);
		if (fd < 0)
			fd = -errno;
	} while (identity_retry(&id, fd));
	identity_end(&id);
	if (fd < 0)
		quota_give(fs->quota, uid, QUOTA_DESCRIPTORS, 1);
	return fd;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	int fd = -EPERM;

	if (node_from_id(fs->nodes, parent)->type == NODE_ROOT && strcmp(name, TREE_NAME) != 0)
		fd = create_as_caller(fs, req, name, mode,
			O_CREAT | (fi->flags & (OPEN_FLAGS | O_EXCL)));
	if (fd < 0)
		reply_result(req, fd);
	else
		reply_created(fs, req, name, fd, fi);
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	int fd = -EOPNOTSUPP;

	if (node_from_id(fs->nodes, parent)->type == NODE_ROOT)
		fd = create_as_caller(fs, req, ".", mode,
			O_TMPFILE | (fi->flags & (OPEN_FLAGS | O_EXCL)));
	if (fd < 0)
		reply_result(req, fd);
	else
		reply_created(fs, req, "", fd, fi);
}

/*
 * The kernel has checked the permission, on the attributes of this very inode. The reopening is
 * the daemon's own, so that it works for whoever was let in.
 */
static int open_pinned(struct fs *fs, fuse_req_t req, int path_fd, const struct fuse_file_info *fi)
{
	uid_t uid = fuse_req_ctx(req)->uid;
	struct identity id;
	int fd = quota_take(fs->quota, uid, QUOTA_DESCRIPTORS, 1);

	if (fd < 0)
		return fd;
	identity_begin_by_descriptor(&id, req, fi->kill_suidgid && has_set_ids(path_fd));
	fd = fs_reopen(fs, path_fd, fi->flags & OPEN_FLAGS);
	/* An append-only object wants it; for others each write says whether it appends. */
	if (fd == -EPERM && fi->flags & O_APPEND)
		fd = fs_reopen(fs, path_fd, fi->flags & (OPEN_FLAGS | O_APPEND));
	identity_end(&id);
	if (fd < 0)
		quota_give(fs->quota, uid, QUOTA_DESCRIPTORS, 1);
	return fd;
}

static void open_now(struct fs *fs, struct deferred *d)
{
	struct handle *handle;
	struct pin pin;
	int fd, r = pin_node(fs, d->node, &pin);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	if (is_data(d->node))
		r = tree_data_check(fs, d->req, d->node, &pin, d->fi.flags);
	fd = r < 0 ? r : open_pinned(fs, d->req, pin.fd, &d->fi);
	if (fd < 0) {
		unpin_node(fs, d->node, &pin);
		reply_result(d->req, fd);
		return;
	}
	handle = handle_new(fs, d->node, &pin, fd, fuse_req_ctx(d->req)->uid, &d->fi);
	if (handle)
		reply_open(fs, d->req, handle, &d->fi);
	else
		reply_result(d->req, -ESTALE);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .node = node_from_id(fs->nodes, ino), .fi = *fi };

	if (d.node->type == NODE_TREE)
		tree_open(fs, req, d.node, fi);
	else
		defer_if(fs, tree_data_waits(d.node) || (must_not_wait(fs) && fi->flags & O_TRUNC),
			&d, open_now);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (node_from_id(fs_of(req)->nodes, ino)->type == NODE_SEGMENT)
		lock_flush(handle_of(fi), fi->lock_owner);
	reply_result(req, 0);
}

static void release_now(struct fs *fs, struct deferred *d)
{
	handle_free(fs, handle_of(&d->fi));
	reply_result(d->req, 0);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .node = node_from_id(fs->nodes, ino), .fi = *fi };

	if (d.node->type == NODE_TREE) {
		tree_release(fs, fi);
		reply_result(req, 0);
		return;
	}
	/* The last close of an unlinked object frees its pages. */
	defer_if(fs, must_not_wait(fs), &d, release_now);
}

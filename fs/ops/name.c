/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/ops.h"

#include "base/fdpath.h"
#include "base/libc.h"
#include "base/util.h"
#include "daemon/permit.h"
#include "daemon/tell.h"
#include "node/handle.h"
#include "serve/defer.h"
#include "serve/reply-node.h"
#include "serve/reply.h"
#include "tree/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return node_from_id(fs_of(req)->nodes, ino);
}

static bool in_root(fuse_req_t req, fuse_ino_t parent)
{
	return node_of(req, parent)->type == NODE_ROOT;
}

/* Whether the caller may change what is in the directory. */
static int may_change(fuse_req_t req, fuse_ino_t parent)
{
	return op_permit(req, node_of(req, parent), W_OK | X_OK);
}

/* For what can be in no directory of the mount. */
static int refuse_to_make(fuse_req_t req, fuse_ino_t parent)
{
	int r = may_change(req, parent);

	return r < 0 ? r : -EPERM;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent_id, const char *name)
{
	struct fs *fs = fs_of(req);
	struct node *parent = node_of(req, parent_id);
	struct stat st;
	int r;

	if (parent->type == NODE_SEGMENT) {
		reply_result(req, -ENOTDIR);
		return;
	}
	if (parent->type != NODE_ROOT || strcmp(name, TREE_NAME) == 0) {
		tree_lookup(fs, req, parent->type == NODE_ROOT ? NULL : parent, name);
		return;
	}
	r = permit_search(fs, req) < 0 ? LOOKUP_REFUSED : stat_name(fs, name, &st);
	if (r < 0)
		reply_result(req, r);
	else
		reply_entry(fs, req, node_lookup_object(fs->nodes, st.st_ino, name), &st);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	node_forget(fs_of(req)->nodes, node_of(req, ino), nlookup);
	reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(fs_of(req)->nodes, node_of(req, forgets[i].ino), forgets[i].nlookup);
	reply_none(req);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs *fs = fs_of(req);
	struct event_act *act;
	struct fsuid id;
	struct stat st = { 0 };
	int r = S_ISREG(mode) ? op_may_name(req, parent, name) : refuse_to_make(req, parent);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	act = tell_begin(req, TELLS(EVENT_CREATED), name, 0);
	r = permit_begin(fs, &id, req, PERMIT_NAMES);
	fsuid_umask(fuse_req_ctx(req)->umask);
	if (r == 0 && mode & S_ISGID)
		fsuid_take_groups(&id);
	if (r == 0)
		do
			r = mknodat(fs->shm_fd, name, mode, rdev) < 0 ? -errno : 0;
		while (fsuid_retry(&id, r));
	fsuid_end(&id);
	if (r == 0)
		r = stat_name(fs, name, &st);
	tell_end(req, act, r, st.st_ino);
	if (r < 0)
		reply_result(req, r);
	else
		reply_entry(fs, req, node_lookup_object(fs->nodes, st.st_ino, name), &st);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	int r = in_root(req, parent) ? refuse_to_make(req, parent) : may_change(req, parent);

	if (r < 0)
		reply_result(req, r);
	else
		tree_mkdir(fs_of(req), req, node_of(req, parent), name, mode);
}

void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link, (void)name;
	reply_result(req, refuse_to_make(req, parent));
}

static int link_by_descriptor(int fd, int directory, const char *name)
{
	return linkat(AT_FDCWD, fd_path(fd).text, directory, name, AT_SYMLINK_FOLLOW) < 0 ? -errno :
											    0;
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct node *node = node_of(req, ino);
	struct event_act *act;
	struct fsuid id;
	struct stat st;
	struct file_ref ref;
	int r = op_may_name(req, parent, name);

	if (r == 0 && (node->type != NODE_SEGMENT || node->data))
		r = -EPERM;
	if (r == 0)
		r = file_ref_get(fs, node, &ref);
	if (r < 0) {
		reply_result(req, r);
		return;
	}
	act = tell_begin(req, TELLS(EVENT_CREATED), name, node->ino);
	r = permit_begin(fs, &id, req, PERMIT_NAMES);
	if (r == 0)
		do
			r = link_by_descriptor(ref.fd, fs->shm_fd, name);
		while (fsuid_retry(&id, r));
	fsuid_end(&id);
	tell_end(req, act, r, 0);
	if (r == 0 && fstat(ref.fd, &st) < 0)
		r = -errno;
	file_ref_put(fs, node, &ref);
	if (r < 0)
		reply_result(req, r);
	else
		reply_entry(fs, req, node_lookup_object(fs->nodes, st.st_ino, name), &st);
}

/*
 * Opens the object before its name is removed. -ENOENT for what is not an object: it is not shown.
 */
static int hold_object(struct fs *fs, const char *name)
{
	auto_fd fd = openat(fs->shm_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -ENOENT;
	return steal_fd(&fd);
}

/*
 * After the name was removed: keeps the descriptor, so that a caller that has looked the object up
 * but not yet opened it still can. Takes over `fd`.
 */
static void keep_object(struct fs *fs, fuse_req_t req, int fd)
{
	const struct caller caller = identity_caller(req);
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_nlink > 0 ||
		!node_keep_grace_fd(fs->nodes, st.st_ino, fd, &caller))
		close(fd);
}

static void unlink_now(struct fs *fs, struct deferred *d)
{
	struct event_act *act;
	struct fsuid id;
	int r, fd = hold_object(fs, d->name);

	if (fd < 0) {
		reply_result(d->req, fd);
		return;
	}
	act = tell_begin(d->req, TELLS(EVENT_REMOVED), d->name, 0);
	r = permit_begin(fs, &id, d->req, PERMIT_NAMES);
	if (r == 0)
		do
			r = unlinkat(fs->shm_fd, d->name, 0) < 0 ? -errno : 0;
		while (fsuid_retry(&id, r));
	fsuid_end(&id);
	tell_end(d->req, act, r, tell_inode(act, fd));
	keep_object(fs, d->req, fd);
	reply_result(d->req, r);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .locks_directory = true };
	int r = op_may_name(req, parent, name);

	if (r == 0 && g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name)
		r = -ENAMETOOLONG;
	if (r < 0)
		reply_result(req, r);
	else
		unlink_now(fs, &d);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r = may_change(req, parent);

	if (r == 0 && in_root(req, parent))
		r = strcmp(name, TREE_NAME) == 0 ? -EPERM : -ENOTDIR;
	if (r < 0)
		reply_result(req, r);
	else
		tree_rmdir(fs_of(req), req, node_of(req, parent), name);
}

/* Gives the node of a renamed object its new name; a replaced object's node keeps a stale name. */
static void follow_rename(struct fs *fs, const char *name)
{
	struct stat st;

	if (stat_name(fs, name, &st) == 0)
		node_renamed(fs->nodes, st.st_ino, name);
}

/* The object of that name, which another one had; 0 if there is no act that needs it. */
static uint64_t inode_of_name(struct fs *fs, const struct event_act *act, const char *name)
{
	struct stat st;

	return act && stat_name(fs, name, &st) == 0 ? st.st_ino : 0;
}

static void rename_now(struct fs *fs, struct deferred *d)
{
	bool exchange = d->flags & RENAME_EXCHANGE;
	struct event_act *act = tell_begin(d->req, TELLS(EVENT_RENAMED), d->name, 0);
	struct event_act *back =
		exchange ? tell_begin(d->req, TELLS(EVENT_RENAMED), d->new_name, 0) : NULL;
	struct fsuid id;
	int r, replaced = hold_object(fs, d->new_name);

	r = permit_begin(fs, &id, d->req, PERMIT_NAMES);
	if (r == 0)
		do
			r = renameat2(fs->shm_fd, d->name, fs->shm_fd, d->new_name, d->flags) < 0 ?
				-errno :
				0;
		while (fsuid_retry(&id, r));
	fsuid_end(&id);
	tell_end(d->req, act, r, inode_of_name(fs, act, d->new_name));
	tell_end(d->req, back, r, inode_of_name(fs, back, d->name));
	if (replaced >= 0)
		keep_object(fs, d->req, replaced);
	if (r == 0) {
		follow_rename(fs, d->new_name);
		if (exchange)
			follow_rename(fs, d->name);
	}
	reply_result(d->req, r);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .flags = flags, .locks_directory = true };
	struct stat st = { .st_mode = S_IFREG }; /* what is to be replaced */
	int r = op_may_name(req, parent, name);

	if (r == 0)
		r = op_may_name(req, newparent, newname);
	if (r == 0 && flags & RENAME_WHITEOUT)
		r = -EPERM; /* it would leave a device node, and the root has only objects */
	if (r == 0 &&
		(g_strlcpy(d.name, name, sizeof d.name) >= sizeof d.name ||
			g_strlcpy(d.new_name, newname, sizeof d.new_name) >= sizeof d.new_name))
		r = -ENAMETOOLONG;
	/* A file that is not an object is not shown, and must not be replaced. */
	if (r == 0 && fstatat(fs->shm_fd, newname, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!S_ISREG(st.st_mode)) {
		r = may_change(req, newparent);
		r = r < 0 ? r : -EEXIST;
	}
	if (r < 0)
		reply_result(req, r);
	else
		rename_now(fs, &d);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	tree_readlink(fs_of(req), req, node_of(req, ino));
}

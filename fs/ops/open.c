/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/ops.h"

#include "base/util.h"
#include "caller/opening.h"
#include "daemon/permit.h"
#include "daemon/tell.h"
#include "kinds/posix-removal.h"
#include "node/handle.h"
#include "ops/truncation.h"
#include "serve/defer.h"
#include "serve/reply-node.h"
#include "serve/reply.h"
#include "tree/data.h"
#include "tree/tree.h"

#include <fcntl.h>
#include <string.h>

/* Flags of the caller's open(2) that matter to the daemon's own descriptor. */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_NOATIME)

/*
 * Makes node and handle of a file that O_CREAT has created or found, and replies. Takes over `fd`.
 */
static void reply_created(struct fs *fs, fuse_req_t req, const char *name, int fd,
	struct charge *charge, struct fuse_file_info *fi)
{
	auto_fd file = fd;
	struct file_ref ref = { .fd = -1 };
	struct node *node;
	struct stat st;

	if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode) || st.st_dev != fs->shm_dev) {
		reply_result(req, -EPERM);
		return;
	}
	node = node_lookup_object(fs->nodes, st.st_ino, name);
	reply_create(fs, req, handle_new(fs, node, &ref, steal_fd(&file), charge, fi), &st, fi);
}

/*
 * Whether to open once more. With O_NONBLOCK, open(2) answers EWOULDBLOCK if a process has a lease
 * on the object. If that process is this daemon, for a removal, waiting for the end of the removal
 * helps.
 */
static bool retry_after_removal(int result, bool *retried)
{
	if (result != -EWOULDBLOCK || *retried)
		return false;
	posix_removal_wait();
	*retried = true;
	return true;
}

/*
 * What the kernel serves itself it also opens itself, in the caller's name. The other files the daemon
 * alone opens. Truncation by open(2) it always does.
 */
static unsigned opening_tells(const struct fs *fs, int flags)
{
	return (fs->passthrough ? 0 : TELLS(EVENT_OPENED)) |
		(flags & O_TRUNC ? TELLS(EVENT_RESIZED) : 0);
}

static int open_name(struct fs *fs, const char *name, int flags, mode_t mode)
{
	int fd = openat(fs->shm_fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		mode);

	return fd < 0 ? -errno : fd;
}

/*
 * Opens or creates the object with the caller's credentials: another process may have created it
 * since the kernel looked it up, and then no one has checked yet whether this caller may open it.
 * The descriptor is charged to the caller.
 */
static int create_as_caller(struct fs *fs, fuse_req_t req, const char *name, mode_t mode, int flags,
	struct charge *charge)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	const struct caller caller = identity_caller(req);
	struct event_act *act;
	struct fsuid id;
	bool retried = false;
	int fd = charge_take(fs->charges, &caller, CHARGE_DESCRIPTORS, 1, charge);

	if (fd < 0)
		return fd;
	act = tell_begin(req, opening_tells(fs, flags) | TELLS(EVENT_CREATED), name, 0);
	fd = permit_begin(fs, &id, req, PERMIT_NAMES);
	fsuid_umask(ctx->umask);
	if (fd == 0 && mode & S_ISGID)
		fsuid_take_groups(&id);
	if (fd == 0)
		do
			fd = open_name(fs, name, flags, mode);
		while (fsuid_retry(&id, fd) || retry_after_removal(fd, &retried));
	fsuid_end(&id);
	tell_end(req, act, fd, tell_inode(act, fd));
	return fd;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	auto_charge charge = { 0 };
	int fd = op_may_name(req, parent, name);

	if (fd == 0)
		fd = create_as_caller(fs, req, name, mode,
			O_CREAT | (fi->flags & (OPEN_FLAGS | O_EXCL)), &charge);
	if (fd < 0)
		reply_result(req, fd);
	else
		reply_created(fs, req, name, fd, &charge, fi);
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	auto_charge charge = { 0 };
	int fd = -EOPNOTSUPP;

	if (node_from_id(fs->nodes, parent)->type == NODE_ROOT)
		fd = create_as_caller(fs, req, ".", mode,
			O_TMPFILE | (fi->flags & (OPEN_FLAGS | O_EXCL)), &charge);
	if (fd < 0)
		reply_result(req, fd);
	else
		reply_created(fs, req, "", fd, &charge, fi);
}

/*
 * Takes on what the file is to be opened with: the daemon's own rights if the caller's have been checked, by the kernel
 * on the attributes of this same inode, or for a `data` file by tree_data_check(); else all of the caller's.
 *
 * A program must be readable as well: of one that is not, the kernel hides the memory from its user, and would have to
 * ask us whether it is.
 */
static int begin_opening(struct fs *fs, fuse_req_t req, const struct node *node, int path_fd,
	const struct fuse_file_info *fi, struct fsuid *id)
{
	int r;

	if (fs->kernel_permits || is_data(node)) {
		identity_begin_by_descriptor(id, req, fi->kill_suidgid && has_set_ids(path_fd));
		return 0;
	}
	r = fi->flags & OPEN_TO_EXECUTE ? permit_file(fs, req, path_fd, R_OK | X_OK) : 0;
	if (r < 0) {
		*id = (struct fsuid){ 0 };
		return r;
	}
	r = permit_begin(fs, id, req, path_fd);
	/* Truncation asks for CAP_FSETID over the machine, also where the file is a namespace's. */
	if (r == 0 && fi->kill_suidgid)
		fsuid_without_fsetid(id);
	return r;
}

/* Opens the file behind `path_fd`, if the caller may. */
static int open_by_ref(struct fs *fs, fuse_req_t req, const struct node *node, int path_fd,
	const struct fuse_file_info *fi, struct charge *charge)
{
	const struct caller caller = identity_caller(req);
	struct event_act *act = NULL;
	struct fsuid id;
	bool retried = false;
	int fd = charge_take(fs->charges, &caller, CHARGE_DESCRIPTORS, 1, charge);

	if (fd < 0)
		return fd;
	if (opening_tells(fs, fi->flags) && events_on(fs->events))
		act = tell_begin(req, opening_tells(fs, fi->flags), NULL, tell_inode_of(path_fd));
	fd = begin_opening(fs, req, node, path_fd, fi, &id);
	if (fd == 0)
		do
			fd = fs_reopen(fs, path_fd, fi->flags & OPEN_FLAGS);
		while (retry_after_removal(fd, &retried));
	/*
	 * Only an append-only object needs O_APPEND; else each write request says whether it
	 * appends.
	 */
	if (fd == -EPERM && fi->flags & O_APPEND)
		fd = fs_reopen(fs, path_fd, fi->flags & (OPEN_FLAGS | O_APPEND));
	fsuid_end(&id);
	tell_end(req, act, fd, 0);
	return fd;
}

/* Whether fs.protected_regular, which the kernel leaves to us, may forbid this opening. */
static bool may_be_protected(const struct fs *fs, const struct deferred *d, int fd)
{
	const struct caller caller = identity_caller(d->req);

	return !fs->kernel_permits && !is_data(d->node) && !(d->fi.flags & OPEN_TO_EXECUTE) &&
		opening_is_protected(&caller, fs->shm_fd, fd);
}

static void open_now(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	auto_charge charge = { 0 };
	struct handle *handle;
	struct file_ref ref;
	struct before_truncation before = { 0 };
	int fd, r = 0;

	if (is_data(d->node))
		r = tree_data_permit(fs, d->req, d->node, tree_data_wanted(d->fi.flags));
	if (r == 0)
		r = file_ref_get(fs, d->node, &ref);
	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	if (may_be_protected(fs, d, ref.fd)) {
		/* What the caller has asked for is to be seen once it sleeps. */
		if (!d->waited) {
			file_ref_put(fs, d->node, &ref);
			d->waited = true;
			defer_if(fs, true, d, open_now);
			return;
		}
		r = opening_refused(&caller);
	}
	if (r == 0 && is_data(d->node))
		r = tree_data_check(fs, d->req, d->node, &ref, d->fi.flags);
	if (d->fi.flags & O_TRUNC)
		before = truncation_begin(ref.fd);
	fd = r < 0 ? r : open_by_ref(fs, d->req, d->node, ref.fd, &d->fi, &charge);
	if (fd < 0) {
		file_ref_put(fs, d->node, &ref);
		reply_result(d->req, fd);
		return;
	}
	if (d->fi.flags & O_TRUNC)
		truncation_end(fs, d->req, d->node, &before, 0);
	handle = handle_new(fs, d->node, &ref, fd, &charge, &d->fi);
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
	else if (is_foreign_data(d.node) &&
		((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC))
		reply_result(req, -EROFS);
	else
		defer_if(fs, tree_data_waits(d.node), &d, open_now);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (node_from_id(fs_of(req)->nodes, ino)->type == NODE_SEGMENT)
		lock_table_drop(&handle_of(fi)->file->locks, fi->lock_owner);
	reply_result(req, 0);
}

/* The last close of an unlinked object frees its pages: some 10 ms for each 100 MB. */
#define MUCH_BYTES (8 * 1024 * 1024)

static bool frees_much(const struct handle *handle)
{
	struct stat st;

	return fstat(handle->fd, &st) == 0 && st.st_nlink == 0 && st.st_blocks > MUCH_BYTES / 512;
}

/* What the kernel serves it closes itself; of the rest it does not say who has closed it. */
static void tell_closed(struct fs *fs, const struct handle *handle)
{
	struct event event = { .type = EVENT_CLOSED, .size = EVENT_UNKNOWN };
	g_autofree char *name = NULL;
	struct stat st;

	if (!events_on(fs->events) || handle->file->backing_id > 0 || handle->node->data ||
		fstat(handle->fd, &st) < 0)
		return;
	event.kind = segment_class_name(SEGMENT_FILE);
	event.id = event.name = name = node_dup_name(fs->nodes, handle->node);
	event.inode = st.st_ino;
	event.size = st.st_size;
	events_tell_later(fs->events, &event);
}

static void release_now(struct fs *fs, struct deferred *d)
{
	tell_closed(fs, handle_of(&d->fi));
	handle_free(fs, handle_of(&d->fi));
	reply_result(d->req, 0);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .node = node_from_id(fs->nodes, ino), .fi = *fi };
	bool much;

	if (d.node->type == NODE_TREE) {
		tree_release(fs, d.node, fi);
		reply_result(req, 0);
		return;
	}
	much = frees_much(handle_of(fi));
	/* Before a worker has its turn: the caller of close(2) may ask for the lock at once. */
	if (much)
		lock_table_drop_handle(&handle_of(fi)->file->locks, handle_of(fi));
	d.other_user = true;
	d.uid = charge_uid(&handle_of(fi)->shared->charge);
	defer_if(fs, much, &d, release_now);
}

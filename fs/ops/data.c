/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data path without passthrough, and the calls that passthrough never serves.
 *
 * The daemon never maps a segment: whoever truncates it would have it killed by SIGBUS. It moves
 * bytes with read and write calls, whose faults are errors.
 */
#include "ops/ops.h"

#include "base/libc.h"
#include "caller/memory-cgroup.h"
#include "daemon/identity.h"
#include "daemon/tell.h"
#include "node/handle.h"
#include "serve/defer.h"
#include "serve/reply.h"
#include "tree/tree.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return node_from_id(fs_of(req)->nodes, ino);
}

/*
 * Returns the thread's own buffer; NULL: there is no memory. It is kept, because allocating a
 * megabyte costs more than reading it.
 */
static char *read_buffer(size_t size)
{
	static GPrivate buffer = G_PRIVATE_INIT(g_free);
	static _Thread_local size_t allocated;
	char *mem = g_private_get(&buffer);

	if (allocated < size) {
		g_free(mem);
		mem = g_try_malloc(size);
		allocated = mem ? size : 0;
		g_private_set(&buffer, mem);
	}
	return mem;
}

/*
 * Removes the node's pages from the kernel's cache, so that the next read asks the daemon again. A
 * read that fills this cache has no lock owner. Without passthrough such a read comes from a
 * private mapping, or from sendfile(2) and splice(2), which use the cache whatever was agreed at
 * open(2). Never called by a request thread: the kernel waits here for the pages of reads that have
 * not been answered yet.
 */
static void drop_cached(struct fs *fs, struct deferred *d)
{
	fuse_lowlevel_notify_inval_inode(fs->session, node_id(fs->nodes, d->node), 0, 0);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .node = node_of(req, ino),
		.other_user = true,
		.uid = fuse_req_ctx(req)->uid };
	bool cached = fi->lock_owner == 0;
	char *mem;
	ssize_t n;

	if (d.node->type == NODE_TREE) {
		tree_read(req, d.node, size, off, fi);
		return;
	}
	/*
	 * With passthrough a cached read can only come from readahead(2) or posix_fadvise(2):
	 * nothing reads that cache, and the object's access time must not change. Both calls ignore
	 * the error.
	 */
	if (cached && handle_of(fi)->file->backing_id > 0) {
		reply_result(req, -EIO);
		return;
	}
	mem = read_buffer(size);
	if (!mem) {
		reply_result(req, -ENOMEM);
		return;
	}
	n = pread(handle_of(fi)->fd, mem, size, off);
	/* Until the reply the handle keeps the node alive, from then on the worker's reference. */
	if (cached && n > 0)
		defer_if(fs, true, &d, drop_cached);
	if (n < 0)
		reply_result(req, -errno);
	else
		reply_buf(req, mem, n);
}

/* Returns how many bytes of a write fit into a segment of fixed size; -EPERM if none do. */
static ssize_t within_size(const struct handle *handle, size_t size, off_t off)
{
	struct stat st;

	if (!handle->file->fixed_size)
		return size;
	if (fstat(handle->fd, &st) < 0)
		return -errno;
	return off < st.st_size ? (ssize_t)MIN(size, (uint64_t)(st.st_size - off)) : -EPERM;
}

static void write_segment(fuse_req_t req, struct handle *handle, const char *buf, size_t size,
	off_t off, const struct fuse_file_info *fi)
{
	struct fsuid id;
	bool append = fi->flags & O_APPEND; /* it can change after open(2) */
	ssize_t r = append && handle->file->fixed_size ? -EPERM : within_size(handle, size, off);

	if (r >= 0) {
		struct iovec vector = { .iov_base = (char *)buf, .iov_len = r };
		struct event_act *act = handle->node->data ?
			NULL :
			tell_begin(req, TELLS(EVENT_RESIZED), NULL, handle->node->ino);

		identity_begin_by_descriptor(&id, req, fi->kill_suidgid && has_set_ids(handle->fd));
		/*
		 * RWF_APPEND finds the end of the file now; `off` is the end that the kernel knew.
		 */
		r = pwritev2(handle->fd, &vector, 1, off, append ? RWF_APPEND : 0);
		if (r < 0)
			r = -errno;
		fsuid_end(&id);
		tell_end(req, act, r, 0);
	}
	reply_count(req, r);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	/* None is open for writing, and the kernel knows; its handle is another structure. */
	if (node_of(req, ino)->type == NODE_TREE)
		reply_result(req, -EBADF);
	else
		write_segment(req, handle_of(fi), buf, size, off, fi);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	off_t r;

	if (node_of(req, ino)->type == NODE_TREE) {
		reply_result(req, -EINVAL);
		return;
	}
	r = lseek(handle_of(fi)->fd, off, whence);
	if (r < 0)
		reply_result(req, -errno);
	else
		reply_offset(req, r);
}

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	struct fuse_pollhandle *handle)
{
	const struct node *node = node_of(req, ino);

	if (node->type == NODE_TREE)
		tree_poll(req, node, fi, handle);
	else
		reply_poll_of_file(req, handle);
}

static void fallocate_now(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	const struct handle *handle = handle_of(&d->fi);
	struct event_act *act = events_begin(fs->events, TELLS(EVENT_RESIZED), NULL,
		handle->node->ino, true, &caller);
	int r = memory_cgroup_fallocate(caller.pid, handle->fd, d->mode, d->offset, d->length);

	events_end(fs->events, act, r == 0, 0);
	reply_result(d->req, r);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	struct deferred d = { .req = req,
		.node = node_of(req, ino),
		.fi = *fi,
		.mode = mode,
		.offset = offset,
		.length = length };

	if (d.node->type == NODE_TREE)
		reply_result(req, -EOPNOTSUPP);
	else if (handle_of(fi)->file->fixed_size &&
		within_size(handle_of(fi), length, offset) != length)
		reply_result(req, -EPERM);
	else
		fallocate_now(fs_of(req), &d);
}

/*
 * Gets and sets the inode flags of chattr(1). The kernel has checked the caller, tmpfs checks
 * again.
 */
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	union {
		int flags;
		struct fsxattr attr;
	} value = { 0 };
	struct node *node = node_of(req, ino);
	struct fsuid id;
	int r, fd;

	(void)arg, (void)flags;
	if (node->type == NODE_TREE ||
		(cmd != FS_IOC_GETFLAGS && cmd != FS_IOC_SETFLAGS && cmd != FS_IOC_FSGETXATTR &&
			cmd != FS_IOC_FSSETXATTR)) {
		reply_result(req, -ENOTTY);
		return;
	}
	fd = node->type == NODE_ROOT ? fs_of(req)->shm_fd : handle_of(fi)->fd;
	if (in_size > 0) /* else `in` may be NULL */
		memcpy(&value, in, MIN(in_size, sizeof value));
	identity_begin(&id, req);
	do
		r = ioctl(fd, cmd, &value) < 0 ? -errno : 0;
	while (fsuid_retry(&id, r));
	fsuid_end(&id);
	if (r < 0)
		reply_result(req, r);
	else
		reply_ioctl(req, &value, MIN(out_size, sizeof value));
}

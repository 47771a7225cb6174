/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/handle.h"

#include "base/util.h"
#include "node/passthrough.h"

#include <fcntl.h>

/*
 * The table's lock is held. Takes over `fd` and its charge, unless the other handles have one
 * already.
 */
static void add_handle_locked(struct handle *handle, int flags, int *fd, struct charge *charge)
{
	struct open_file *file = handle->file;

	file->refs++;
	file->handles++;
	file->writers += handle->writes;
	handle->node->refs++;
	handle->shared = open_file_fd(file, flags);
	if (handle->shared->users++ == 0) {
		handle->shared->fd = steal_fd(fd);
		handle->shared->charge = charge_move(charge);
	}
	handle->fd = handle->shared->fd;
}

/*
 * Adds the handle to the node's open file. If the node has none, that of `ref` goes back on it (its
 * last handle may just have been closed) or a new one is made. False: the node's is another file.
 */
static bool attach(struct fs *fs, struct handle *handle, struct file_ref *ref, int flags, int *fd,
	struct charge *charge)
{
	struct open_file *fresh =
		ref->file ? NULL : open_file_new(ref->generation, ref->direct, ref->fixed_size);
	struct node *node = handle->node;
	bool same;

	node_table_lock(fs->nodes);
	if (!node->file)
		g_atomic_pointer_set(&node->file, ref->file ? ref->file : g_steal_pointer(&fresh));
	same = node->file->generation == ref->generation;
	if (same) {
		handle->file = node->file;
		add_handle_locked(handle, flags, fd, charge);
	}
	node_table_unlock(fs->nodes);
	file_ref_put(fs, node, ref);
	if (fresh)
		open_file_free(fresh);
	return same;
}

/*
 * The kernel opens the backing file anew for each opener, with the credentials that the thread has
 * now: the daemon's, so that they suffice for whoever was let in by the permission check.
 */
static void choose_data_path(struct fs *fs, struct open_file *file, int fd,
	struct fuse_file_info *fi)
{
	g_mutex_lock(&file->lock);
	if (!fs->passthrough)
		file->direct = true;
	if (!file->direct && file->backing_id == 0) {
		int id = passthrough_register(fs, fd);

		file->direct = id <= 0;
		file->backing_id = MAX(id, 0);
		if (file->direct)
			g_atomic_int_inc(&fs->passthrough_failures);
	}
	fi->backing_id = file->backing_id;
	/*
	 * No second page cache, ever: what passthrough does not serve goes to the file each time.
	 * With both, the kernel maps the backing file but sends each write here, where the size of
	 * a System V segment is kept.
	 */
	fi->direct_io = file->direct || (file->fixed_size && (fi->flags & O_ACCMODE) != O_RDONLY);
	fi->parallel_direct_writes = fi->direct_io;
	g_mutex_unlock(&file->lock);
}

struct handle *handle_new(struct fs *fs, struct node *node, struct file_ref *ref, int fd,
	struct charge *charge, struct fuse_file_info *fi)
{
	struct handle *handle = g_new0(struct handle, 1);
	auto_charge paid = charge_move(charge);
	auto_fd own = fd;

	handle->node = node;
	handle->writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	if (!attach(fs, handle, ref, fi->flags, &own, &paid)) {
		node_orphan(fs->nodes, node);
		g_free(handle);
		return NULL;
	}
	choose_data_path(fs, handle->file, handle->fd, fi);
	fi->fh = (uintptr_t)handle;
	return handle;
}

void handle_free(struct fs *fs, struct handle *handle)
{
	struct open_file *file = handle->file;
	struct node *node = handle->node;
	int backing_id = 0;
	bool last;

	lock_table_drop_handle(&file->locks, handle);
	/*
	 * An open that had a reference to this file may put it back on the node (attach()): both
	 * locks are held, so that this open then finds no backing id and registers its own. Another
	 * open makes an open file of its own, and may register before the id below is released: the
	 * kernel gives the same file any number of ids. It refuses only a second one for an inode
	 * with open handles, and has let go of a handle's backing file before it sends RELEASE.
	 */
	g_mutex_lock(&file->lock);
	node_table_lock(fs->nodes);
	file->writers -= handle->writes;
	last = --file->handles == 0;
	if (last)
		g_atomic_pointer_set(&node->file, NULL);
	node_table_unlock(fs->nodes);
	if (last) {
		backing_id = file->backing_id;
		file->backing_id = 0;
	}
	g_mutex_unlock(&file->lock);
	if (backing_id > 0)
		passthrough_unregister(fs, backing_id);
	open_file_unref(fs, file, handle->shared);
	g_free(handle);
	node_unref(fs->nodes, node);
}

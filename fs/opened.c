/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "opened.h"

#include "locate.h"
#include "passthrough.h"
#include "util.h"

#include <fcntl.h>

static void opened_unref(struct fs *fs, struct opened *opened)
{
	bool last;

	node_table_lock(fs->nodes);
	last = --opened->refs == 0;
	node_table_unlock(fs->nodes);
	if (!last)
		return;
	g_assert(opened->backing_id == 0);
	if (opened->locks)
		lock_table_free(opened->locks);
	close(opened->path_fd);
	g_mutex_clear(&opened->lock);
	g_free(opened);
}

int pin_node(struct fs *fs, struct node *node, struct pin *out)
{
	*out = (struct pin){ .fd = -1 };
	if (node->type == NODE_ROOT) {
		out->fd = fs->shm_fd;
		return 0;
	}
	node_table_lock(fs->nodes);
	if (node->opened) {
		out->opened = node->opened;
		out->opened->refs++;
	}
	node_table_unlock(fs->nodes);
	if (out->opened) {
		out->fd = out->opened->path_fd;
		out->generation = out->opened->generation;
		return 0;
	}
	return locate_segment(fs, node, out);
}

void unpin_node(struct fs *fs, struct node *node, struct pin *pin)
{
	if (pin->opened)
		opened_unref(fs, pin->opened);
	else if (node->type != NODE_ROOT)
		close(pin->fd);
}

/*
 * Adds a handle to the node's `opened`. If the node has none, the pin's goes back on it (its last
 * handle may just have been closed) or a new one is made of the pin. NULL: its is another file.
 */
static struct opened *attach(struct fs *fs, struct node *node, struct pin *pin, bool writes)
{
	struct opened *fresh = g_new0(struct opened, 1), *used;

	g_mutex_init(&fresh->lock);
	fresh->path_fd = pin->fd;
	fresh->generation = pin->generation;
	fresh->direct = pin->direct;
	fresh->fixed_size = pin->fixed_size;
	node_table_lock(fs->nodes);
	if (!node->opened)
		g_atomic_pointer_set(&node->opened, pin->opened ? pin->opened : g_steal_pointer(&fresh));
	used = node->opened->generation == pin->generation ? node->opened : NULL;
	if (used) {
		used->refs++;
		used->handles++;
		used->writers += writes;
		node->refs++;
	}
	node_table_unlock(fs->nodes);
	if (!fresh)
		return used;
	unpin_node(fs, node, pin);
	g_mutex_clear(&fresh->lock);
	g_free(fresh);
	return used;
}

/*
 * The kernel opens the backing file anew for each opener, with the credentials that the thread has
 * now: the daemon's, so that they suffice for whoever was let in by the permission check.
 */
static void choose_data_path(struct fs *fs, struct opened *opened, int fd,
	struct fuse_file_info *fi)
{
	g_mutex_lock(&opened->lock);
	if (!fs->passthrough)
		opened->direct = true;
	if (!opened->direct && opened->backing_id == 0) {
		int id = passthrough_register(fs, fd);

		opened->direct = id <= 0;
		opened->backing_id = MAX(id, 0);
		if (opened->direct)
			g_atomic_int_inc(&fs->passthrough_failures);
	}
	fi->backing_id = opened->backing_id;
	/*
	 * No second page cache, ever: what passthrough does not serve goes to the file each time.
	 * With both, the kernel maps the backing file but sends each write here, where the size of a
	 * System V segment is kept.
	 */
	fi->direct_io = opened->direct ||
		(opened->fixed_size && (fi->flags & O_ACCMODE) != O_RDONLY);
	fi->parallel_direct_writes = fi->direct_io;
	g_mutex_unlock(&opened->lock);
}

struct handle *handle_new(struct fs *fs, struct node *node, struct pin *pin, int fd,
	struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct opened *opened = attach(fs, node, pin, writes);
	struct handle *handle;

	if (!opened) {
		node_orphan(fs->nodes, node);
		close(fd);
		return NULL;
	}
	handle = g_new(struct handle, 1);
	handle->node = node;
	handle->opened = opened;
	handle->fd = fd;
	handle->writes = writes;
	choose_data_path(fs, handle->opened, fd, fi);
	fi->fh = (uintptr_t)handle;
	return handle;
}

void handle_free(struct fs *fs, struct handle *handle)
{
	struct opened *opened = handle->opened;
	struct node *node = handle->node;
	bool last;
	int backing_id = 0;

	/*
	 * A new open may come in between: it finds either this `opened` with its handle counted, or
	 * none and makes its own. The backing id must be gone before that one registers another.
	 */
	g_mutex_lock(&opened->lock);
	if (opened->locks)
		lock_release_handle(opened->locks, handle);
	node_table_lock(fs->nodes);
	opened->writers -= handle->writes;
	last = --opened->handles == 0;
	if (last)
		g_atomic_pointer_set(&node->opened, NULL);
	node_table_unlock(fs->nodes);
	if (last) {
		backing_id = opened->backing_id;
		opened->backing_id = 0;
	}
	g_mutex_unlock(&opened->lock);
	if (backing_id > 0)
		passthrough_unregister(fs, backing_id);
	close(handle->fd);
	g_free(handle);
	opened_unref(fs, opened);
	node_unref(fs->nodes, node);
}

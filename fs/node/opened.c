/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/opened.h"

#include "node/pin.h"
#include "node/passthrough.h"
#include "base/util.h"

#include <fcntl.h>

/* An open(2) with these flags has the use of this one. */
static struct access *access_of(struct opened *opened, int flags)
{
	return &opened->accesses[(flags & O_ACCMODE) | (flags & O_NOATIME ? ACCESSES / 2 : 0)];
}

/* The table's lock is held. An `opened` that is on a node has a handle, and so a descriptor. */
static struct access *some_access_locked(struct opened *opened)
{
	struct access *access = opened->accesses;

	while (access->users == 0)
		access++;
	g_assert(access < opened->accesses + ACCESSES);
	return access;
}

static void close_charged(struct fs *fs, int fd, uid_t uid)
{
	close(fd);
	quota_give(fs->quota, uid, QUOTA_DESCRIPTORS, 1);
}

static void opened_unref(struct fs *fs, struct opened *opened, struct access *access)
{
	struct access dropped;
	bool last;

	node_table_lock(fs->nodes);
	access->users--;
	dropped = *access;
	last = --opened->refs == 0;
	node_table_unlock(fs->nodes);
	if (dropped.users == 0)
		close_charged(fs, dropped.fd, dropped.uid);
	if (!last)
		return;
	g_assert(opened->backing_id == 0);
	if (opened->locks)
		lock_table_free(opened->locks);
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
		out->access = some_access_locked(out->opened);
		out->access->users++;
		out->fd = out->access->fd;
	}
	node_table_unlock(fs->nodes);
	if (out->opened) {
		out->generation = out->opened->generation;
		return 0;
	}
	return locate_segment(fs, node, out);
}

void unpin_node(struct fs *fs, struct node *node, struct pin *pin)
{
	if (pin->opened)
		opened_unref(fs, pin->opened, pin->access);
	else if (node->type != NODE_ROOT && pin->fd >= 0)
		close(pin->fd);
}

/* The table's lock is held. False: the descriptor that the others have will do. */
static bool add_handle_locked(struct handle *handle, int flags, int fd, uid_t uid)
{
	struct opened *opened = handle->opened;
	bool taken;

	opened->refs++;
	opened->handles++;
	opened->writers += handle->writes;
	handle->node->refs++;
	handle->access = access_of(opened, flags);
	taken = handle->access->users++ == 0;
	if (taken) {
		handle->access->fd = fd;
		handle->access->uid = uid;
	}
	handle->fd = handle->access->fd;
	return taken;
}

static struct opened *opened_new(const struct pin *pin)
{
	struct opened *opened = g_new0(struct opened, 1);

	g_mutex_init(&opened->lock);
	opened->generation = pin->generation;
	opened->direct = pin->direct;
	opened->fixed_size = pin->fixed_size;
	return opened;
}

/*
 * Adds the handle to the node's `opened`. If the node has none, the pin's goes back on it (its last
 * handle may just have been closed) or a new one is made of the pin. False: its is another file.
 */
static bool attach(struct fs *fs, struct handle *handle, struct pin *pin, int flags, int fd,
	uid_t uid)
{
	struct opened *fresh = pin->opened ? NULL : opened_new(pin);
	struct node *node = handle->node;
	bool same, taken = false;

	node_table_lock(fs->nodes);
	if (!node->opened)
		g_atomic_pointer_set(&node->opened,
			pin->opened ? pin->opened : g_steal_pointer(&fresh));
	same = node->opened->generation == pin->generation;
	if (same) {
		handle->opened = node->opened;
		taken = add_handle_locked(handle, flags, fd, uid);
	}
	node_table_unlock(fs->nodes);
	unpin_node(fs, node, pin);
	if (!taken)
		close_charged(fs, fd, uid);
	if (fresh) {
		g_mutex_clear(&fresh->lock);
		g_free(fresh);
	}
	return same;
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
	fi->direct_io =
		opened->direct || (opened->fixed_size && (fi->flags & O_ACCMODE) != O_RDONLY);
	fi->parallel_direct_writes = fi->direct_io;
	g_mutex_unlock(&opened->lock);
}

struct handle *handle_new(struct fs *fs, struct node *node, struct pin *pin, int fd, uid_t uid,
	struct fuse_file_info *fi)
{
	struct handle *handle = g_new0(struct handle, 1);

	handle->node = node;
	handle->writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	if (!attach(fs, handle, pin, fi->flags, fd, uid)) {
		node_orphan(fs->nodes, node);
		g_free(handle);
		return NULL;
	}
	choose_data_path(fs, handle->opened, handle->fd, fi);
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
	opened_unref(fs, opened, handle->access);
	g_free(handle);
	node_unref(fs->nodes, node);
}

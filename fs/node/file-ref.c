/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/file-ref.h"

#include "base/util.h"
#include "daemon/visit.h"
#include "kinds/posix-removal.h"
#include "node/data-node.h"

#include <fcntl.h>

/* A name that has gone is as good as one that leads elsewhere: the kernel is to look again. */
static int stale(int err)
{
	return err == -ENOENT || err == -ELOOP ? -ESTALE : err;
}

static int open_object(struct fs *fs, struct node *node)
{
	g_autofree char *name = node_dup_name(fs->nodes, node);
	auto_fd fd = openat(fs->shm_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return stale(-errno);
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_ino != node->ino || st.st_dev != fs->shm_dev)
		return -ESTALE;
	return steal_fd(&fd);
}

/* A `data` file, as its kind opens it. */
static int open_data(struct fs *fs, struct node *node, struct file_ref *out)
{
	g_autofree struct data_node *data = node_copy_data(fs->nodes, node);
	struct visit visit;
	struct item_file file;
	int r = visit_enter(fs, data->realm, data->kind->needs, &visit);

	if (r < 0)
		return r;
	r = data->kind->open ? data->kind->open(&visit.realm, &data->item, &file) : -EPERM;
	visit_leave(fs, &visit);
	if (r < 0)
		return r;
	out->fd = file.fd;
	out->generation = file.generation;
	/* As it was when the kind opened it: else it would have been -ESTALE. */
	out->owner = (struct ownership){ data->item.mode, data->item.uid, data->item.gid };
	out->direct = !file.passthrough;
	out->fixed_size = data->item.fixed_size;
	return 0;
}

int file_ref_locate(struct fs *fs, struct node *node, struct file_ref *out)
{
	int r;

	*out = (struct file_ref){ .fd = -1 };
	if (node->data)
		return open_data(fs, node, out);
	r = out->fd = open_object(fs, node);
	if (r < 0)
		out->fd = node_dup_grace_fd(fs->nodes, node);
	return out->fd < 0 ? r : 0;
}

int file_ref_get(struct fs *fs, struct node *node, struct file_ref *out)
{
	*out = (struct file_ref){ .fd = -1 };
	if (node->type == NODE_ROOT) {
		out->fd = fs->shm_fd;
		return 0;
	}
	node_table_lock(fs->nodes);
	if (node->file) {
		out->file = node->file;
		out->file->refs++;
		out->shared = open_file_any_fd_locked(out->file);
		out->shared->users++;
		out->fd = out->shared->fd;
	}
	node_table_unlock(fs->nodes);
	if (!out->file)
		return file_ref_locate(fs, node, out);
	out->generation = out->file->generation;
	return 0;
}

void file_ref_put(struct fs *fs, struct node *node, struct file_ref *ref)
{
	if (ref->file)
		open_file_unref(fs, ref->file, ref->shared);
	else if (node->type != NODE_ROOT && ref->fd >= 0)
		close(ref->fd);
}

int stat_name(struct fs *fs, const char *name, struct stat *out)
{
	if (posix_is_hidden(name))
		return -ENOENT;
	if (fstatat(fs->shm_fd, name, out, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* A file of elsewhere, mounted over an object's name, may have another object's number. */
	return S_ISREG(out->st_mode) && out->st_dev == fs->shm_dev ? 0 : -ENOENT;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/pin.h"

#include "tree/data.h"
#include "base/util.h"

#include <fcntl.h>
#include <stdio.h>

struct fd_path fd_path(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
	return path;
}

int fs_reopen(const struct fs *fs, int file, int flags)
{
	char name[16];
	int fd;

	snprintf(name, sizeof name, "%d", file);
	fd = openat(fs->proc_fd_dir, name, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

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

int locate_segment(struct fs *fs, struct node *node, struct pin *out)
{
	int r;

	if (node->data)
		return tree_data_open(fs, node, out);
	r = out->fd = open_object(fs, node);
	if (r < 0)
		out->fd = node_kept(fs->nodes, node);
	return out->fd < 0 ? r : 0;
}

int locate_name(struct fs *fs, const char *name, struct stat *out)
{
	if (fstatat(fs->shm_fd, name, out, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* A file of elsewhere, mounted over an object's name, may have another object's number. */
	return S_ISREG(out->st_mode) && out->st_dev == fs->shm_dev ? 0 : -ENOENT;
}

static int stat_object(struct fs *fs, struct node *node, struct stat *out)
{
	g_autofree char *name = node_dup_name(fs->nodes, node);
	int r = locate_name(fs, name, out);

	if (r == 0 && out->st_ino == node->ino)
		return 0;
	auto_fd kept = node_kept(fs->nodes, node);
	if (kept < 0)
		return r < 0 ? stale(r) : -ESTALE;
	return fstat(kept, out) < 0 ? -errno : 0;
}

int locate_stat(struct fs *fs, struct node *node, struct stat *out)
{
	struct pin pin;
	int r;

	/* One call less than a pin, for what is asked most: a file that nobody has open. */
	if (node->type == NODE_SEGMENT && !node->data && !node_is_open(node))
		return stat_object(fs, node, out);
	if (is_data(node))
		return tree_data_stat(fs, node, out);
	r = pin_node(fs, node, &pin);
	if (r < 0)
		return r;
	r = fstat(pin.fd, out) < 0 ? -errno : 0;
	out->st_ino = node->ino;
	if (node->type == NODE_ROOT)
		out->st_nlink = 3; /* with .shmtree: what else is a directory there is not shown */
	unpin_node(fs, node, &pin);
	return r;
}

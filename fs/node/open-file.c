/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/open-file.h"

#include "base/util.h"
#include "node/node.h"

struct open_file *open_file_new(uint64_t generation, bool direct, bool fixed_size)
{
	struct open_file *file = g_new0(struct open_file, 1);

	g_mutex_init(&file->lock);
	lock_table_init(&file->locks);
	file->generation = generation;
	file->direct = direct;
	file->fixed_size = fixed_size;
	return file;
}

void open_file_free(struct open_file *file)
{
	g_assert(file->refs == 0 && file->backing_id == 0);
	lock_table_clear(&file->locks);
	g_mutex_clear(&file->lock);
	g_free(file);
}

struct shared_fd *open_file_fd(struct open_file *file, int flags)
{
	return &file->fds[(flags & O_ACCMODE) | (flags & O_NOATIME ? SHARED_FDS / 2 : 0)];
}

struct shared_fd *open_file_any_fd_locked(struct open_file *file)
{
	struct shared_fd *fd = file->fds;

	while (fd->users == 0)
		fd++;
	g_assert(fd < file->fds + SHARED_FDS);
	return fd;
}

void open_file_unref(struct fs *fs, struct open_file *file, struct shared_fd *fd)
{
	auto_charge charge = { 0 };
	auto_fd unused = -1;
	bool last;

	node_table_lock(fs->nodes);
	if (--fd->users == 0) {
		unused = fd->fd;
		charge = charge_move(&fd->charge);
	}
	last = --file->refs == 0;
	node_table_unlock(fs->nodes);
	if (last)
		open_file_free(file);
}

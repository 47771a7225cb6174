/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int fs_reopen(const struct fs *fs, int file, int flags)
{
	char name[16];
	int fd;

	snprintf(name, sizeof name, "%d", file);
	fd = openat(fs->proc_fd_dir, name, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

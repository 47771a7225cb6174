/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fdpath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct fd_path fd_path(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
	return path;
}

int fd_reopen(int fd)
{
	int file = open(fd_path(fd).text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return file < 0 ? -errno : file;
}

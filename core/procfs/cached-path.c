/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/cached-path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How often a path is walked that others may have changed meanwhile. */
#define TRIES 100

int cached_path_open(int root, const char *path, int flags)
{
	/* A link there must not lead into our own files. */
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED,
	};
	int fd = -EAGAIN;

	/* EAGAIN, now and then, only says that something changed meanwhile. */
	for (int tries = 0; fd == -EAGAIN && tries < TRIES; tries++) {
		fd = syscall(SYS_openat2, root, path, &how, sizeof how);
		if (fd < 0)
			fd = -errno;
	}
	/* Not EAGAIN, which would say that another try may help. */
	return fd == -EAGAIN ? -EOPNOTSUPP : fd;
}

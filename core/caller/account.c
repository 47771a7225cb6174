/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/account.h"

#include "base/util.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* The kernel nests as many at most. */
#define LEVELS 34

/* No user id is so large. */
#define NAMESPACE_BIT (UINT64_C(1) << 63)

static ino_t inode_of(int fd)
{
	struct stat st = { 0 };

	(void)fstat(fd, &st);
	return st.st_ino;
}

/* 0 if it cannot be told. */
static ino_t own_namespace(void)
{
	auto_fd fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 0 : inode_of(fd);
}

uint64_t account_of(const struct caller *caller)
{
	ino_t own = own_namespace(), inode, outermost = 0;
	uid_t owner = caller->uid;
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/ns/user", caller->pid);
	auto_fd fd = own == 0 || caller->pid == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	for (int level = 0; fd >= 0 && level < LEVELS; level++) {
		int parent;

		inode = inode_of(fd);
		if (inode == own)
			return outermost == 0 || owner != 0 ? owner : NAMESPACE_BIT | outermost;
		outermost = inode;
		if (inode == 0 || ioctl(fd, NS_GET_OWNER_UID, &owner) < 0)
			break;
		parent = ioctl(fd, NS_GET_PARENT);
		close(fd);
		fd = parent;
	}
	return caller->uid;
}

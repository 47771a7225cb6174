/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/tmpfs.h"

#include "base/fdpath.h"
#include "base/util.h"

#include <errno.h>
#include <linux/mount.h>
#include <linux/xattr.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

int tmpfs_new(const char *size)
{
	auto_fd fs = syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int mount;

	if (fs < 0 ||
		(size && syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", size, 0) < 0) ||
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return mount < 0 ? -errno : mount;
}

bool tmpfs_has_acl(int fd)
{
	ssize_t size = fgetxattr(fd, XATTR_NAME_POSIX_ACL_ACCESS, NULL, 0);

	if (size < 0 && errno == EBADF) /* O_PATH */
		size = getxattr(fd_path(fd).text, XATTR_NAME_POSIX_ACL_ACCESS, NULL, 0);
	return size < 0 ? errno != ENODATA && errno != EOPNOTSUPP : size > 0;
}

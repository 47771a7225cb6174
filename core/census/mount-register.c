/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/mount-register.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Of file systems without a disk, all of major number 0: 20 bits. */
#define MINOR_BITS 20
#define MINORS (INT64_C(1) << MINOR_BITS)

struct mount_register {
	int fd;
	int64_t first; /* the byte of the mount with minor number 0 */
};

int mount_register_open(const char *path, uint64_t source_dev, struct mount_register **out)
{
	g_autofree char *directory = g_path_get_dirname(path);
	int fd;

	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	*out = g_new(struct mount_register, 1);
	(*out)->fd = fd;
	(*out)->first = (int64_t)minor(source_dev) << MINOR_BITS;
	return 0;
}

void mount_register_close(struct mount_register *mounts)
{
	if (!mounts)
		return;
	closep(&mounts->fd);
	g_free(mounts);
}

/* Not an open file description lock, which does not tell whose it is. */
int mount_register_add(struct mount_register *mounts, uint64_t mount_dev)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = mounts->first + minor(mount_dev),
		.l_len = 1,
	};

	if (major(mount_dev) != 0)
		return -EINVAL;
	return fcntl(mounts->fd, F_SETLK, &lock) < 0 ? -errno : 0;
}

typedef void (*visitor)(uint64_t mount_dev, uint64_t source_dev, pid_t server, void *data);

/* The kernel tells one lock of a range, any of them: so what is left and right of it is asked next. */
static int each_in(struct mount_register *mounts, int64_t from, int64_t to, visitor visit,
	void *data)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = from,
		.l_len = to - from,
	};
	int r;

	if (from >= to)
		return 0;
	if (fcntl(mounts->fd, F_GETLK, &lock) < 0)
		return -errno;
	if (lock.l_type == F_UNLCK)
		return 0;
	visit(makedev(0, lock.l_start % MINORS), makedev(0, lock.l_start / MINORS),
		MAX(lock.l_pid, 0), data);
	r = each_in(mounts, from, lock.l_start, visit, data);
	return r < 0 ? r : each_in(mounts, lock.l_start + 1, to, visit, data);
}

int mount_register_each(struct mount_register *mounts, visitor visit, void *data)
{
	return each_in(mounts, 0, MINORS * MINORS, visit, data);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/dead-mount.h"

#include "base/fdpath.h"
#include "base/libc.h"
#include "base/util.h"
#include "daemon/identity.h"
#include "daemon/log.h"
#include "mount/attributes.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* Of Linux 6.5; <linux/mount.h> does not go with <sys/mount.h>. */
#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x00000200
#endif

bool dead_mount_find(const char *path, char **real)
{
	g_autofree char *parent = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(path);
	char *resolved;
	struct stat st;

	/* The one is what the kernel says while it ends the connection, the other from then on. */
	if (stat(path, &st) == 0 || (errno != ENOTCONN && errno != ECONNABORTED))
		return false;
	/* realpath() of the whole would look at the mount. */
	resolved = realpath(parent, NULL);
	*real = g_build_filename(resolved ? resolved : parent, name, NULL);
	free(resolved);
	return true;
}

int dead_mount_lock(void)
{
	auto_fd fd = open(FS_MOUNT_REGISTER, O_RDONLY | O_CLOEXEC);

	return fd < 0 || flock(fd, LOCK_EX) < 0 ? -errno : steal_fd(&fd);
}

static int configure(int context, int device, const struct fs *fs)
{
	char number[16];
	const struct {
		const char *key, *value; /* a flag has none */
	} parameters[] = {
		{ "source", fs->options.label },
		{ "subtype", "shmtree" },
		{ "fd", number },
		{ "rootmode", "40000" },
		{ "user_id", "0" },
		{ "group_id", "0" },
		{ "allow_other", NULL },
		{ fs->kernel_permits ? "default_permissions" : "allow_other", NULL },
	};

	snprintf(number, sizeof number, "%d", device);
	for (size_t i = 0; i < G_N_ELEMENTS(parameters); i++)
		if (fsconfig(context, parameters[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			    parameters[i].key, parameters[i].value, 0) < 0)
			return -errno;
	return fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

/* A mount that is nowhere yet. */
static int make_mount(int device, const struct fs *fs, unsigned attributes)
{
	auto_fd context = fsopen("fuse", FSOPEN_CLOEXEC);
	int r;

	if (context < 0)
		return -errno;
	r = configure(context, device, fs);
	if (r < 0)
		return r;
	r = fsmount(context, FSMOUNT_CLOEXEC, attributes);
	return r < 0 ? -errno : r;
}

int dead_mount_replace(const struct fs *fs)
{
	const char *point = fs->options.mountpoint;
	unsigned attributes;

	auto_fd device = -1, mount = -1;
	if (!fsuid_privileged() || !attributes_of_options(&fs->options.fuse, &attributes))
		return -EOPNOTSUPP;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return -errno;
	mount = make_mount(device, fs, attributes | attributes_of_source(fs));
	if (mount < 0)
		return mount;
	if (move_mount(mount, "", AT_FDCWD, point, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_BENEATH) <
		0)
		return -errno;
	/* The dead one is on top still; when it goes, ours comes to light. */
	if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
		int r = -errno;

		/* Ours, whose connection ends here, would be a second dead mount: it goes, too. */
		umount2(fd_path(mount).text, MNT_DETACH);
		return r;
	}
	return steal_fd(&device);
}

bool unmount_by_helper(const char *path)
{
	const char *const helper[] = { "fusermount3", "-u", "-z", "-q", path, NULL };
	int status;

	return g_spawn_sync(NULL, (char **)helper, NULL,
		       G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
		       &status, NULL) &&
		WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int dead_mount_clear(const char *path)
{
	if (fsuid_privileged() ? umount2(path, MNT_DETACH) == 0 : unmount_by_helper(path))
		return 0;
	log_line("%s: the file system mounted there is dead; clear it with umount -l %s", path,
		path);
	return -1;
}

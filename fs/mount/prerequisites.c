/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/prerequisites.h"

#include "base/privilege.h"
#include "daemon/identity.h"
#include "daemon/log.h"
#include "mount/dead-mount.h"
#include "procfs/mountinfo.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int check_fuse(void)
{
	if (access("/dev/fuse", R_OK | W_OK) == 0)
		return 0;
	if (errno == ENOENT)
		log_line("there is no /dev/fuse; load the module (modprobe fuse), or give the "
			 "container "
			 "the device");
	else
		log_line("no access to /dev/fuse: %s; run it as root, or ask for access",
			g_strerror(errno));
	return -1;
}

/* A dead mount of ours stays until the new one is there. `real` is taken over. */
static int check_dead_mount(struct options *options, char *real)
{
	struct mount mount;

	g_free(options->mountpoint);
	options->mountpoint = real;
	options->dead =
		mountinfo_find(real, &mount) == 1 && strcmp(mount.fstype, "fuse.shmtree") == 0;
	if (options->dead)
		return 0;
	log_line("%s: the file system mounted there is dead; clear it with umount -l %s", real,
		real);
	return -1;
}

static int check_mountpoint(struct options *options)
{
	struct stat st, source;
	struct mount mount;
	g_autofree char *real = NULL;

	if (dead_mount_find(options->mountpoint, &real))
		return check_dead_mount(options, g_steal_pointer(&real));
	real = realpath(options->mountpoint, NULL);
	if (!real || stat(real, &st) < 0) {
		log_line("%s: %s; create it first (mkdir) or name another directory",
			options->mountpoint, g_strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_line("%s is not a directory; name an empty directory to mount on", real);
		return -1;
	}
	if (!fsuid_privileged() && access(real, W_OK) < 0) {
		log_line("%s: no permission to mount there; a normal user mounts on a directory of "
			 "their own",
			real);
		return -1;
	}
	if (mountinfo_find(real, &mount) == 1 && strcmp(mount.fstype, "fuse.shmtree") == 0) {
		log_line("%s: shmtree is mounted there already; unmount it first (umount %s) or "
			 "name another "
			 "directory",
			real, real);
		return -1;
	}
	/* Every program's shared memory would hang on the daemon's life. */
	if (stat(options->source, &source) == 0 && source.st_dev == st.st_dev &&
		source.st_ino == st.st_ino) {
		log_line("%s is where the objects are; name another directory to mount on", real);
		return -1;
	}
	g_free(options->mountpoint);
	options->mountpoint = g_strdup(real);
	return 0;
}

/* In a container nobody may have what mount(2) asks for, and fusermount3 would not say why. */
static int check_power(void)
{
	if (privilege_capable(CAP_SYS_ADMIN) || privilege_attainable(CAP_SYS_ADMIN))
		return 0;
	log_line("mounting needs CAP_SYS_ADMIN, which no program can have here; start the "
		 "container with it (--cap-add SYS_ADMIN), or without no-new-privileges");
	return -1;
}

static int check_helper(void)
{
	g_autofree char *helper = NULL;

	if (fsuid_privileged())
		return 0;
	helper = g_find_program_in_path("fusermount3");
	if (helper)
		return 0;
	log_line("fusermount3, which mounts for a normal user, is not installed; install the "
		 "package "
		 "fuse3 or run it as root");
	return -1;
}

int prerequisites_check(struct options *options)
{
	if (check_fuse() < 0 || check_mountpoint(options) < 0 || check_power() < 0 ||
		check_helper() < 0)
		return -1;
	return 0;
}

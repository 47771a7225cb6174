/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fs.h"

#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

int fs_open_source(struct fs *fs)
{
	struct statfs statfs;
	struct stat st;

	fs->shm_fd = open(fs->options.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->shm_fd < 0 || fstat(fs->shm_fd, &st) < 0) {
		log_line("%s: %s; name the tmpfs directory that holds the objects",
			fs->options.source, g_strerror(errno));
		return -1;
	}
	/* What these are the names of is memory; another file system would make a wrong promise. */
	if (fstatfs(fs->shm_fd, &statfs) < 0 || statfs.f_type != TMPFS_MAGIC) {
		log_line("%s is no tmpfs; name the tmpfs directory that holds the objects",
			fs->options.source);
		return -1;
	}
	fs->shm_dev = st.st_dev;
	return 0;
}

int fs_start_census(struct fs *fs)
{
	const char *why = NULL;
	const struct census_config config = {
		.proc = fs->options.proc,
		.backend = fs->options.census,
		.shm_dev = fs->shm_dev,
		.self = getpid(),
		.why = &why,
		.no_objects = !fs->options.object_census,
		.mount_register = FS_MOUNT_REGISTER,
	};
	int r = census_new(&config, &fs->census);
	struct stat ns;

	if (r < 0 && why) {
		log_line("census=%s does not work here: %s; leave the option out",
			census_choice_name(fs->options.census), why);
		return -1;
	}
	if (r < 0) {
		log_line("processes cannot be counted: %s: %s", fs->options.proc, g_strerror(-r));
		return -1;
	}
	fs->realm = (struct realm){
		.proc = fs->options.proc,
		.census = fs->census,
		.shm_fd = fs->shm_fd,
		.shm_dev = fs->shm_dev,
		.internal_dev = census_internal_device(fs->census),
		.ipc_ns = stat("/proc/self/ns/ipc", &ns) == 0 ? ns.st_ino : 0,
		.ipc_ns_fd = -1,
	};
	return 0;
}

int fs_reopen(const struct fs *fs, int file, int flags)
{
	char name[16];
	int fd;

	snprintf(name, sizeof name, "%d", file);
	fd = openat(fs->proc_fd_dir, name, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void view_open(struct view *view, const char *label, const char *dir)
{
	view->label = label;
	view->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	if (view->dir < 0)
		err(2, "%s", dir);
}

void world_open(struct world *w, const char *native, const char *mount, const char *behind,
	bool no_mmap)
{
	struct stat st, st_behind;

	*w = (struct world){
		.native = { native, false, no_mmap },
		.mount = { mount, true, no_mmap },
		.behind = { behind, true, no_mmap },
		.settle_limit = 30000,
	};
	view_open(&w->native_view, "native", native);
	view_open(&w->mount_view, "mount", mount);
	view_open(&w->behind_view, "behind the mount", behind);
	if (fstat(w->mount_view.dir, &st) < 0 || fstat(w->behind_view.dir, &st_behind) < 0)
		err(2, "%s", mount);
	/* One native directory against another: how the test is tested. */
	if (st.st_dev == st_behind.st_dev)
		w->mount.is_mount = w->behind.is_mount = false;
	snprintf(w->waiting, sizeof(w->waiting), "/sys/fs/fuse/connections/%u/waiting",
		minor(st.st_dev));
	if (access(w->waiting, R_OK) < 0)
		*w->waiting = '\0';
}

void world_close(struct world *w)
{
	world_kill_all(w);
	close(w->native_view.dir);
	close(w->mount_view.dir);
	close(w->behind_view.dir);
}

/* An immutable or append-only file could not be removed. */
static void clear_flags(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags) {
		flags = 0;
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

static void remove_entry(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0) {
		clear_flags(fd);
		close(fd);
	}
	if (unlinkat(dir, name, 0) < 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
		err(2, "removing %s", name);
}

static void remove_xattrs(int fd)
{
	char names[4096];
	ssize_t n = flistxattr(fd, names, sizeof(names));

	for (char *p = names; p < names + n; p += strlen(p) + 1)
		fremovexattr(fd, p);
}

static void reset_directory(const struct view *view)
{
	int copy = openat(view->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fdopendir(copy);
	struct dirent *entry;

	if (!list)
		err(2, "listing the %s directory", view->label);
	clear_flags(view->dir);
	while ((entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			remove_entry(view->dir, entry->d_name);
	}
	closedir(list);
	remove_xattrs(view->dir);
	if (fchown(view->dir, 0, 0) < 0 || fchmod(view->dir, 01777) < 0 ||
		futimens(view->dir, NULL) < 0)
		err(2, "resetting the %s directory", view->label);
}

void world_reset(struct world *w)
{
	world_kill_all(w);
	world_quiesce(w);
	reset_directory(&w->native_view);
	reset_directory(&w->behind_view);
}

struct executor *world_native(struct world *w, unsigned actor)
{
	if (!w->native_executors[actor])
		w->native_executors[actor] = executor_start(&actors[actor], &w->native);
	return w->native_executors[actor];
}

struct executor *world_mount(struct world *w, unsigned actor)
{
	if (!w->mount_executors[actor])
		w->mount_executors[actor] = executor_start(&actors[actor],
			actors[actor].outside ? &w->behind : &w->mount);
	return w->mount_executors[actor];
}

void world_kill(struct world *w, unsigned actor)
{
	if (w->native_executors[actor])
		executor_stop(w->native_executors[actor]);
	if (w->mount_executors[actor])
		executor_stop(w->mount_executors[actor]);
	w->native_executors[actor] = w->mount_executors[actor] = NULL;
}

void world_kill_all(struct world *w)
{
	for (unsigned i = 0; i < ACTORS; i++)
		world_kill(w, i);
}

static bool is_busy(const struct world *w)
{
	char text[32] = "";
	int fd = open(w->waiting, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && atoi(text) != 0;
}

void world_quiesce(struct world *w)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };

	if (!*w->waiting)
		return;
	for (int i = 0; i < 20000 && is_busy(w); i++) {
		if (i > 10)
			nanosleep(&pause, NULL);
	}
}

void view_take(struct view *view)
{
	for (unsigned i = 0; i < name_count(); i++) {
		view->err[i] = statx(view->dir, name_at(i), AT_SYMLINK_NOFOLLOW,
				       STATX_BASIC_STATS | STATX_BTIME, &view->st[i]) < 0 ?
			errno :
			0;
	}
	if (fstatfs(view->dir, &view->fs) < 0)
		err(2, "the %s directory", view->label);
}

int world_actor_of(struct world *w, bool is_mount, pid_t pid)
{
	struct executor **list = is_mount ? w->mount_executors : w->native_executors;

	for (int i = 0; i < ACTORS; i++) {
		if (list[i] && executor_pid(list[i]) == pid)
			return i;
	}
	return -1;
}

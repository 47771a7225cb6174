/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/memory-cgroup.h"

#include "base/util.h"
#include "caller/fsuid.h"
#include "procfs/cgroup.h"
#include "procfs/proc.h"

#include <fcntl.h>
#include <glib.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

/* The exit status of a child that could not move; no errno is as high. */
#define COULD_NOT_MOVE 255

/* How often the child is looked at, and how often it must be found frozen. */
#define LOOK_MS 50
#define FROZEN_LOOKS 4

#define FREES (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE)

/* The directory of the group of /proc/PROCESS, or NULL. */
static char *group_of(const char *process)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/cgroup", process);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return cgroup_memory_directory(text);
}

/*
 * Makes a child in the group. Version 2 has a child born there, which takes the time of a fork; for
 * version 1 the child moves, which takes some milliseconds.
 */
static pid_t make_child(int group)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = group,
	};
	struct statfs st;

	if (fstatfs(group, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
		return syscall(SYS_clone3, &args, sizeof args);
	return fork();
}

static bool move(int group)
{
	struct statfs st;
	int file;

	if (fstatfs(group, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
		return true;
	file = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return file >= 0 && write(file, "0", 1) == 1;
}

/* fallocate(2) runs, or sleeps uninterruptibly: a child that sleeps otherwise is in a frozen group. */
static bool is_frozen(pid_t child)
{
	g_autofree char *path = g_strdup_printf("/proc/%d", (int)child);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proc_stat stat;

	return dir >= 0 && proc_read_stat(dir, &stat) == 0 && stat.state == 'S';
}

/*
 * Waits until the child ends by itself: true. False where that may be never, because its group stays
 * frozen, or where a signal says that the caller waits no longer.
 */
static bool ends_by_itself(pid_t child)
{
	auto_fd handle = syscall(SYS_pidfd_open, child, 0);
	struct pollfd ended = { .fd = handle, .events = POLLIN };

	for (unsigned frozen = 0; handle >= 0 && frozen < FROZEN_LOOKS;) {
		int n = poll(&ended, 1, LOOK_MS);

		if (n != 0)
			return n > 0;
		frozen = is_frozen(child) ? frozen + 1 : 0;
	}
	return handle < 0;
}

static int await(pid_t child)
{
	bool by_itself = ends_by_itself(child);
	int status;

	if (!by_itself)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status))
		return by_itself ? -ENOMEM : -EINTR;
	return WEXITSTATUS(status) == COULD_NOT_MOVE ? -EOPNOTSUPP : -WEXITSTATUS(status);
}

/*
 * In the child: what the daemon has open is not to count as the child's, nor to stay open with it when
 * the daemon ends.
 */
static void keep_only(int fd, int group)
{
	unsigned low = MIN(fd, group), high = MAX(fd, group);

	if (low > 0)
		syscall(SYS_close_range, 0, low - 1, 0);
	if (high - low > 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0U, 0);
}

/* In the child, after a fork of a program with threads, system calls alone are safe. */
int memory_cgroup_fallocate_in(const char *directory, int fd, int mode, off_t offset, off_t length)
{
	auto_fd group = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t child;

	if (group < 0)
		return -EOPNOTSUPP;
	child = make_child(group);
	if (child < 0)
		return errno == EAGAIN || errno == ENOMEM ? -ENOMEM : -EOPNOTSUPP;
	if (child == 0) {
		keep_only(fd, group);
		if (!move(group))
			_exit(COULD_NOT_MOVE);
		_exit(fallocate(fd, mode, offset, length) < 0 ? errno : 0);
	}
	return await(child);
}

/* Where the daemon's own group is not to be found, memory is not accounted for by group here. */
int memory_cgroup_fallocate(pid_t pid, int fd, int mode, off_t offset, off_t length)
{
	g_autofree char *own = NULL, *callers = NULL;
	char process[16];

	if (!(mode & FREES) && fsuid_privileged()) {
		snprintf(process, sizeof process, "%d", (int)pid);
		own = group_of("self");
		callers = pid > 0 ? group_of(process) : NULL;
		if (own && g_strcmp0(own, callers) != 0 && access(own, F_OK) == 0)
			return callers ?
				memory_cgroup_fallocate_in(callers, fd, mode, offset, length) :
				-EOPNOTSUPP;
	}
	return fallocate(fd, mode, offset, length) < 0 ? -errno : 0;
}

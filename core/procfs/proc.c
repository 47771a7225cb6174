/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/proc.h"

#include "base/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* From the kernel's include/linux/sched.h; /proc/PID/stat has always shown them. */
#define PF_EXITING 0x00000004
#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD 0x00200000

#define KTHREADD 2

struct proc {
	int fd;
	char *prefix;
	bool live, own;
};

static bool is_live(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* A procfs of the pid namespace that we are in shows us under our own pid. */
static bool is_own(int fd)
{
	char self[16];
	ssize_t n = readlinkat(fd, "self", self, sizeof(self) - 1);

	if (n < 0)
		return false;
	self[n] = '\0';
	return atoi(self) == getpid();
}

int proc_open(const char *prefix, struct proc **out)
{
	struct proc *proc;
	int fd = open(prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	proc = g_new0(struct proc, 1);
	proc->fd = fd;
	proc->prefix = g_strdup(prefix);
	proc->live = is_live(fd);
	proc->own = proc->live && is_own(fd);
	*out = proc;
	return 0;
}

void proc_close(struct proc *proc)
{
	if (!proc)
		return;
	close(proc->fd);
	g_free(proc->prefix);
	g_free(proc);
}

const char *proc_prefix(const struct proc *proc)
{
	return proc->prefix;
}

bool proc_is_own(const struct proc *proc)
{
	return proc->own;
}

bool proc_is_live(const struct proc *proc)
{
	return proc->live;
}

pid_t proc_pid_here(const struct proc *proc, pid_t pid)
{
	char self[16];
	ssize_t n = readlinkat(proc->fd, "self", self, sizeof(self) - 1);

	if (pid != getpid() || n < 0)
		return pid;
	self[n] = '\0';
	return atoi(self);
}

const char *proc_incomplete_view(const struct proc *proc)
{
	struct proc_stat stat;
	auto_fd dir = proc_open_pid(proc, KTHREADD);

	if (dir >= 0 && proc_read_stat(dir, &stat) == 0 && proc_is_kernel_thread(&stat))
		return NULL;
	return "this procfs does not show the whole machine (a pid namespace's, or hidepid is on)";
}

uint64_t proc_links(const struct proc *proc)
{
	struct stat st;

	return fstat(proc->fd, &st) < 0 ? 0 : st.st_nlink;
}

/* Appends the names that are numbers: those of processes, threads or descriptors. */
static int list_numbers(int fd, const char *path, GArray *numbers)
{
	int dir_fd = openat(fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	const struct dirent *entry;
	int error;

	if (!dir) {
		error = -errno;
		closep(&dir_fd);
		return error;
	}
	while (errno = 0, (entry = readdir(dir))) {
		char *end;
		long number = strtol(entry->d_name, &end, 10);
		int value = (int)number;

		if (g_ascii_isdigit(*entry->d_name) && *end == '\0' && value == number)
			g_array_append_val(numbers, value);
	}
	error = -errno;
	closedir(dir);
	return error;
}

int proc_list(const struct proc *proc, GArray *pids)
{
	return list_numbers(proc->fd, ".", pids);
}

int proc_list_threads(int dir, GArray *tids)
{
	return list_numbers(dir, "task", tids);
}

int proc_list_descriptors(int dir, GArray *fds)
{
	return list_numbers(dir, "fd", fds);
}

int proc_open_pid(const struct proc *proc, pid_t pid)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "%d", pid);
	fd = openat(proc->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int proc_open_thread(int dir, pid_t tid)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "task/%d", tid);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

ssize_t proc_read_file(int dir, const char *name, char *buffer, size_t size)
{
	auto_fd fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t filled = 0;

	if (fd < 0)
		return -errno;
	while (filled < size - 1) {
		ssize_t n = read(fd, buffer + filled, size - 1 - filled);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		filled += n;
	}
	buffer[filled] = '\0';
	return filled;
}

bool proc_parse_stat(const char *text, struct proc_stat *stat)
{
	/* Numbered as in proc_pid_stat(5). */
	enum { FLAGS = 9, START_TIME = 22, CODE = 26, STACK = 28, DATA = 45, ENV_END = 51 };
	const char *open = strchr(text, '(');
	/* A command may hold parentheses and spaces: the last one ends it. */
	const char *close = strrchr(text, ')');
	const char *rest;

	memset(stat, 0, sizeof(*stat));
	if (!open || !close || close < open || close[1] != ' ' || !close[2] || close[3] != ' ')
		return false;
	g_strlcpy(stat->command, open + 1, MIN(sizeof(stat->command), (size_t)(close - open)));
	stat->state = close[2];

	rest = close + 3;
	for (int field = 4; field <= ENV_END; field++) {
		char *next;
		uint64_t value = strtoull(rest, &next, 10);

		if (next == rest)
			return field > START_TIME;
		rest = next;
		if (field == FLAGS)
			stat->flags = value;
		if (field == START_TIME)
			stat->start_time = value;
		if ((field >= CODE && field <= STACK) || field >= DATA)
			stat->layout = hash_multiply(stat->layout ^ value);
	}
	return true;
}

int proc_read_stat(int dir, struct proc_stat *stat)
{
	char text[2048];
	ssize_t n = proc_read_file(dir, "stat", text, sizeof(text));

	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	return proc_parse_stat(text, stat) ? 0 : -EPROTO;
}

bool proc_is_kernel_thread(const struct proc_stat *stat)
{
	return stat->flags & PF_KTHREAD;
}

bool proc_is_io_worker(const struct proc_stat *stat)
{
	return stat->flags & PF_IO_WORKER;
}

bool proc_has_no_mm(const struct proc_stat *stat)
{
	return stat->flags & (PF_KTHREAD | PF_EXITING) || stat->state == 'Z' || stat->state == 'X';
}

bool proc_is_alone(int dir)
{
	struct stat st;

	/* A directory for each thread, "." and "..". */
	return fstatat(dir, "task", &st, 0) == 0 && st.st_nlink <= 3;
}

uint32_t proc_namespace(int dir, const char *name)
{
	char path[32], link[64];
	ssize_t n;
	unsigned number;
	const char *bracket;

	snprintf(path, sizeof(path), "ns/%s", name);
	n = readlinkat(dir, path, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	bracket = strchr(link, '[');
	errno = EPROTO;
	return bracket && sscanf(bracket, "[%u]", &number) == 1 ? number : 0;
}

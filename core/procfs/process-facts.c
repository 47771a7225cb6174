/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/process-facts.h"

#include "base/util.h"
#include "procfs/proc.h"
#include "procfs/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CGROUP_TEXT 8192

static void read_cmdline(int dir, char *out)
{
	ssize_t n = proc_read_file(dir, "cmdline", out, CMDLINE_SHOWN + 1);

	while (n > 0 && out[n - 1] == '\0')
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (out[i] == '\0')
			out[i] = ' ';
	out[n > 0 ? n : 0] = '\0';
}

/* When the process was born, and its control group with the unit that this names. */
static int read_origin(int dir, uint64_t *born, char *cgroup, char *unit)
{
	struct proc_stat stat;
	char text[CGROUP_TEXT];
	int r = proc_read_stat(dir, &stat);

	if (r == 0)
		*born = stat.start_time;
	if (proc_read_file(dir, "cgroup", text, sizeof text) > 0)
		cgroup_parse(text, cgroup, CGROUP_SHOWN, unit);
	return r;
}

int process_facts_read(const char *proc, pid_t pid, struct process_facts *facts)
{
	g_autofree char *path = NULL;
	int r;

	if (facts->pid == pid)
		return facts->born ? 0 : -ESRCH;
	*facts = (struct process_facts){ .pid = pid, .unit = "-" };
	path = g_strdup_printf("%s/%d", proc, pid);
	auto_fd dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = read_origin(dir, &facts->born, facts->cgroup, facts->unit);
	read_cmdline(dir, facts->cmdline);
	return r;
}

/*
 * The files of a process that is not dumpable belong to root, though its directory does not. What
 * runs as root is then not told apart, and does not matter: its user sees every process.
 */
static bool is_dumpable(int dir)
{
	struct stat process, file;

	return fstat(dir, &process) == 0 && fstatat(dir, "exe", &file, AT_SYMLINK_NOFOLLOW) == 0 &&
		process.st_uid == file.st_uid;
}

static bool all_equal(const unsigned ids[IDS])
{
	return ids[ID_REAL] == ids[ID_EFFECTIVE] && ids[ID_SAVED] == ids[ID_EFFECTIVE];
}

/*
 * Whether its user may read its memory: the kernel's rule (ptrace_may_access) for a process of one user and
 * group without capabilities. Of others it depends on who asks, which nobody can tell once they have ended.
 */
static bool is_readable(int dir, const struct proc_status *status)
{
	return all_equal(status->uids) && all_equal(status->gids) && status->permitted == 0 &&
		is_dumpable(dir);
}

void process_origin_read(const char *proc, pid_t pid, struct process_origin *out)
{
	char cgroup[CGROUP_SHOWN];
	struct proc_status status;

	*out = (struct process_origin){ .unit = "-" };
	g_autofree char *name = g_strdup_printf("%s/%d", proc, pid);
	auto_fd dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	read_origin(dir, &out->born, cgroup, out->unit);
	out->readable = proc_read_status(dir, &status, NULL) == 0 && is_readable(dir, &status);
}

static int open_process(const char *proc, pid_t pid)
{
	char path[64];
	int fd;

	if ((size_t)snprintf(path, sizeof path, "%s/%d", proc, (int)pid) >= sizeof path)
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int process_identity_read(const char *proc, pid_t pid, struct process_identity *out)
{
	char cgroup[CGROUP_SHOWN], text[CGROUP_TEXT];
	struct proc_status status;
	struct proc_stat stat;
	int r;

	auto_fd dir = open_process(proc, pid);
	r = dir < 0 ? dir : proc_read_status(dir, &status, NULL);
	if (r < 0)
		return r;
	if (status.tgid != pid) {
		closep(&dir);
		dir = open_process(proc, status.tgid);
		if (dir < 0)
			return dir;
	}
	*out = (struct process_identity){ .pid = status.tgid, .unit = "-" };
	out->uid = status.uids[ID_EFFECTIVE];
	out->readable = is_readable(dir, &status);
	/* Read last: it fails if the process has ended before all the rest was read. */
	if (proc_read_file(dir, "cgroup", text, sizeof text) > 0)
		cgroup_parse(text, cgroup, sizeof cgroup, out->unit);
	r = proc_read_stat(dir, &stat);
	if (r < 0)
		return r;
	out->born = stat.start_time;
	g_strlcpy(out->command, stat.command, sizeof out->command);
	/* Of version 1 the kernel shows the root group for a process that ends. */
	if (proc_has_no_mm(&stat) && strcmp(out->unit, "-") == 0)
		*out->unit = '\0';
	return 0;
}

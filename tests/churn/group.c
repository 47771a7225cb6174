/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "group.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static bool read_all(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t n;

	if (file == NULL)
		return false;
	n = fread(text, 1, size - 1, file);
	text[n] = '\0';
	fclose(file);
	return n > 0;
}

/* The fields after the command of /proc/PID/stat or /proc/PID/task/TID/stat. */
static bool read_stat(const char *directory, char *state, pid_t *group)
{
	char path[64], text[1024];
	const char *after;
	int ppid;

	snprintf(path, sizeof path, "%s/stat", directory);
	if (!read_all(path, text, sizeof text) || (after = strrchr(text, ')')) == NULL)
		return false;
	return sscanf(after, ") %c %d %d", state, &ppid, group) == 3;
}

static void each_number(const char *path, void (*visit)(int number, void *data), void *data)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (atoi(entry->d_name) > 0)
			visit(atoi(entry->d_name), data);
	closedir(dir);
}

struct listing {
	pid_t group;
	GArray *pids;
};

static void list_member(int pid, void *data)
{
	const struct listing *listing = data;
	char path[32], state;
	pid_t group;

	snprintf(path, sizeof path, "/proc/%d", pid);
	if (read_stat(path, &state, &group) && group == listing->group)
		g_array_append_val(listing->pids, pid);
}

void group_list(pid_t group, GArray *pids)
{
	struct listing listing = { group, pids };

	each_number("/proc", list_member, &listing);
}

/* In vfork(2), a parent waits where it cannot be stopped; the child, which is, holds it there. */
static bool waits_for_vfork(const char *directory)
{
	char path[64], where[64] = "";

	snprintf(path, sizeof path, "%s/wchan", directory);
	return read_all(path, where, sizeof where) && strcmp(where, "kernel_clone") == 0;
}

struct look {
	pid_t pid;
	bool still;
};

static void look_at_thread(int tid, void *data)
{
	struct look *look = data;
	char path[48], state;
	pid_t group;

	snprintf(path, sizeof path, "/proc/%d/task/%d", look->pid, tid);
	if (!read_stat(path, &state, &group))
		look->still = false;
	else if (state == 'D')
		look->still &= waits_for_vfork(path);
	else
		look->still &= strchr("TZX", state) != NULL;
}

static bool is_still(const GArray *pids)
{
	struct look look = { .still = true };
	char path[32];

	for (guint i = 0; i < pids->len && look.still; i++) {
		look.pid = g_array_index(pids, int, i);
		snprintf(path, sizeof path, "/proc/%d/task", look.pid);
		each_number(path, look_at_thread, &look);
	}
	return look.still;
}

void group_stop(pid_t group)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(int));
	guint before;
	bool still;

	/* Two looks alike: nobody was born behind the first one's back. */
	do {
		if (kill(-group, SIGSTOP) != 0)
			err(1, "SIGSTOP");
		sched_yield();
		g_array_set_size(pids, 0);
		group_list(group, pids);
		before = pids->len;
		still = is_still(pids);
		g_array_set_size(pids, 0);
		group_list(group, pids);
	} while (!still || pids->len != before || !is_still(pids));
}

void group_continue(pid_t group)
{
	kill(-group, SIGCONT);
}

void group_kill(pid_t group)
{
	while (kill(-group, SIGKILL) == 0 || errno == EINTR)
		while (waitpid(-group, NULL, 0) > 0)
			;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "state.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSOR_FIELD 39

static bool read_line(pid_t pid, pid_t tid, const char *name, char *line, int size)
{
	char path[80];
	FILE *f;
	bool got;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	f = fopen(path, "r");
	if (!f)
		return false;
	got = fgets(line, size, f);
	fclose(f);
	return got;
}

static unsigned long long slices_of(pid_t pid, pid_t tid)
{
	unsigned long long slices;
	char line[256];

	if (!read_line(pid, tid, "schedstat", line, sizeof(line)) ||
		sscanf(line, "%*u %*u %llu", &slices) != 1)
		return 0;
	return slices;
}

static int processor_of(pid_t pid, pid_t tid)
{
	char line[1024], *p;

	if (!read_line(pid, tid, "stat", line, sizeof(line)))
		return -1;
	p = strrchr(line, ')'); /* the end of field 2 */
	for (int field = 2; p && field < PROCESSOR_FIELD; field++)
		p = strchr(p + 1, ' ');
	return p ? atoi(p + 1) : -1;
}

/* Notes what the thread has had, and returns how much more that is than before. */
static unsigned long long slices_more(struct daemon_state *state, pid_t tid)
{
	unsigned long long now = slices_of(state->pid, tid), before;
	int i = 0;

	while (i < STATE_THREADS - 1 && state->threads[i].tid && state->threads[i].tid != tid)
		i++;
	before = state->threads[i].tid == tid ? state->threads[i].slices : 0;
	state->threads[i].tid = tid;
	state->threads[i].slices = now;
	return now - before;
}

bool state_is_together(struct daemon_state *state)
{
	unsigned long long most = 0;
	struct dirent *task;
	pid_t busiest = 0;
	char path[40];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", state->pid);
	tasks = opendir(path);
	while (tasks && (task = readdir(tasks))) {
		pid_t tid = atoi(task->d_name);
		unsigned long long more = tid ? slices_more(state, tid) : 0;

		if (more > most) {
			most = more;
			busiest = tid;
		}
	}
	if (tasks)
		closedir(tasks);
	return busiest && processor_of(state->pid, busiest) == sched_getcpu();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pair.h"

#include "unit.h"
#include "base/util.h"
#include "procfs/proc.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

const struct state pair_same;

static void keep_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets) < 0)
		_exit(1);
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].effective &= (uint32_t)(wanted >> 32 * i);
		sets[i].permitted = sets[i].effective;
		sets[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, sets) < 0)
		_exit(1);
}

static void write_own(const char *path, const char *text)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(1);
}

/* The user keeps its number; without one, no namespace can be made below. */
static void map_user(uid_t uid)
{
	char map[40];

	snprintf(map, sizeof map, "%u %u 1", uid, uid);
	write_own("/proc/self/setgroups", "deny");
	write_own("/proc/self/uid_map", map);
	write_own("/proc/self/gid_map", map);
}

static void become(const struct state *state)
{
	uid_t uid = state->uid;

	if (uid &&
		(syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, uid, uid, uid) < 0 ||
			syscall(SYS_setresuid, uid, uid, uid) < 0))
		_exit(1);
	uid = geteuid();
	if (prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(state->namespaces) < 0 ||
		prctl(PR_SET_DUMPABLE, 1) < 0)
		_exit(1);
	if (state->namespaces & CLONE_NEWUSER)
		map_user(uid);
	keep_capabilities(state->capabilities);
	if (prctl(PR_SET_DUMPABLE, !state->closed) < 0 ||
		(state->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		_exit(1);
}

static void stay(int wait)
{
	char byte;

	_exit(read(wait, &byte, 1) != 0);
}

static void play_first(const struct state *first, const struct state *second, int ready, int wait)
{
	pid_t child;
	int status;
	char byte = 0;

	become(first);
	child = fork();
	if (child == 0) {
		become(second);
		if (write(ready, &byte, 1) != 1)
			_exit(1);
		stay(wait);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		_exit(1);
	stay(wait);
}

/* The number that it has here: in its own namespace it may have another one. */
static pid_t child_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", pid, pid);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? atoi(text) : 0;
}

bool pair_start(const struct state *first, const struct state *second, struct pair *out)
{
	int ready[2], wait[2];
	bool started;
	char byte;

	CU_ASSERT_FATAL(pipe2(ready, O_CLOEXEC) == 0 && pipe2(wait, O_CLOEXEC) == 0);
	out->first = fork();
	if (out->first == 0) {
		close(wait[1]);
		close(ready[0]);
		play_first(first, second, ready[1], wait[0]);
	}
	close(ready[1]);
	close(wait[0]);
	out->keep = wait[1];
	started = out->first > 0 && read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	if (started) {
		out->second = child_of(out->first);
		CU_ASSERT(out->second > 0);
		return true;
	}
	unit_skip("no such processes can be made here");
	close(wait[1]);
	waitpid(out->first, NULL, 0);
	return false;
}

void pair_end(const struct pair *pair)
{
	int status;

	close(pair->keep);
	ASSERT_INT(waitpid(pair->first, &status, 0), pair->first);
	ASSERT_INT(status, 0);
}

struct caller caller_of(pid_t pid, uid_t uid)
{
	return (struct caller){ .uid = uid, .gid = uid, .pid = pid };
}

pid_t number_of_nobody(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	CU_ASSERT_FATAL(pid > 0 && waitpid(pid, NULL, 0) == pid);
	return pid;
}

uint64_t birth_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d", pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proc_stat stat;

	CU_ASSERT_FATAL(dir >= 0 && proc_read_stat(dir, &stat) == 0);
	return stat.start_time;
}

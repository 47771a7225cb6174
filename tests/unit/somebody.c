/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "somebody.h"

#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

char *own_credentials(void)
{
	static const char *const shown[] = { "Uid:", "Gid:", "Groups:", "CapPrm:", "CapEff:" };
	g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)syscall(SYS_gettid));
	GString *out = g_string_new(NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		CU_FAIL_FATAL("the thread's status cannot be read");
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
			if (g_str_has_prefix(*line, shown[i]))
				g_string_append_printf(out, "%s\n", *line);
	return g_string_free(out, FALSE);
}

void become_somebody(gid_t group)
{
	if (syscall(SYS_setgroups, 1, &group) < 0 ||
		syscall(SYS_setresgid, SOMEBODY, SOMEBODY, SOMEBODY) < 0 ||
		syscall(SYS_setresuid, SOMEBODY, SOMEBODY, SOMEBODY) < 0)
		_exit(1);
}

bool may_become_somebody(void)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0) {
		become_somebody(12);
		_exit(0);
	}
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	return status == 0;
}

pid_t start_changed(bool (*change)(const void *data), const void *data, int *keep)
{
	int ready[2], wait[2];
	char byte;
	pid_t pid;

	CU_ASSERT_FATAL(pipe2(ready, O_CLOEXEC) == 0 && pipe2(wait, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0) {
		close(wait[1]);
		if (!change(data) || write(ready[1], "!", 1) != 1)
			_exit(1);
		_exit(read(wait[0], &byte, 1) != 0);
	}
	close(ready[1]);
	close(wait[0]);
	*keep = wait[1];
	CU_ASSERT_FATAL(pid > 0 && read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

struct somebody {
	gid_t group;
	bool dumpable;
};

static bool be_somebody(const void *data)
{
	const struct somebody *somebody = data;

	become_somebody(somebody->group);
	return prctl(PR_SET_DUMPABLE, somebody->dumpable) == 0;
}

pid_t start_somebody(gid_t group, bool dumpable, int *keep)
{
	const struct somebody somebody = { group, dumpable };

	return start_changed(be_somebody, &somebody, keep);
}

void end_somebody(pid_t pid, int keep)
{
	int status;

	close(keep);
	ASSERT_INT(waitpid(pid, &status, 0), pid);
	ASSERT_INT(status, 0);
}

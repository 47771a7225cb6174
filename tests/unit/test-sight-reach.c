/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose memory a caller reaches by /proc/PID/mem, for which there is Yama's rule besides the kernel's. */
#include "caller/rights.h"
#include "caller/sight.h"
#include "procfs/setting.h"

#include "base/util.h"
#include "failing.h"
#include "pair.h"
#include "somebody.h"
#include "unit.h"

#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define OPENS(file) SYS_openat, .argument = 2, .path = (file)

static const struct state plain = { SOMEBODY };

/* A sight that has begun, about a process whose memory is seen. */
struct looking {
	struct caller_sight sight;
	pid_t about;
	bool reaches;
};

static void begin(struct looking *looking, pid_t caller, uid_t uid, pid_t about)
{
	const struct caller who = caller_of(caller, uid);

	*looking = (struct looking){ .about = about };
	caller_sight_begin(&looking->sight, "/proc", &who);
	CU_ASSERT(caller_sees_memory(&looking->sight, about));
}

/* Where CAP_SYS_PTRACE is about something else, it does not help with Yama either. */
static void look_under_yama(void *data)
{
	struct looking *looking = data;

	ASSERT_INT(caller_reaches_memory(&looking->sight, looking->about), looking->reaches);
	/* The answer need not depend on the rule; failing_returns() wants the file to be read. */
	setting_read(SETTING_YAMA);
}

static void under_yama(struct looking *looking, const char *scope, bool reaches)
{
	int fd = text_descriptor(scope);

	looking->reaches = reaches;
	failing_returns(FAILING({ OPENS(SETTING_YAMA), .result = fd }), look_under_yama, looking);
	close(fd);
}

static void capabilities_of_a_namespace_open_no_map_files(void)
{
	const struct state root = { SOMEBODY, CLONE_NEWUSER, ALL_CAPABILITIES };
	const struct state member = { .capabilities = ALL_CAPABILITIES };
	struct looking looking;
	struct pair pair;

	if (!pair_start(&root, &member, &pair))
		return;
	begin(&looking, pair.first, SOMEBODY, pair.second);
	under_yama(&looking, "2\n", true);
	under_yama(&looking, "3\n", false);
	caller_sight_end(&looking.sight);
	pair_end(&pair);
}

static void yama_lets_a_process_reach_those_that_it_has_started(void)
{
	struct looking looking;
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &pair_same, &pair))
		return;
	begin(&looking, pair.first, SOMEBODY, pair.second);
	under_yama(&looking, "0\n", true);
	under_yama(&looking, "1\n", true);
	under_yama(&looking, "2\n", false);
	under_yama(&looking, "3\n", false);
	/* If it cannot be told which rule holds, the strictest does. */
	looking.reaches = true;
	failing_returns(FAILING({ OPENS(SETTING_YAMA), .result = -ENOENT }), look_under_yama,
		&looking);
	looking.reaches = false;
	failing_returns(FAILING({ OPENS(SETTING_YAMA), .result = -EMFILE }), look_under_yama,
		&looking);
	failing_returns(FAILING({ OPENS(SETTING_YAMA), .result = -EACCES }), look_under_yama,
		&looking);
	/* These capabilities open /proc/PID/map_files, which Yama does not guard. */
	looking.sight.effective = CAPABILITY(CAP_SYS_ADMIN);
	under_yama(&looking, "3\n", true);
	looking.sight.effective = CAPABILITY(CAP_CHECKPOINT_RESTORE);
	under_yama(&looking, "3\n", true);
	looking.sight.effective = CAPABILITY(CAP_SYS_PTRACE);
	under_yama(&looking, "3\n", false);
	under_yama(&looking, "2\n", true);
	caller_sight_end(&looking.sight);
	/* The one that it has been started by, it may not. */
	begin(&looking, pair.second, SOMEBODY, pair.first);
	under_yama(&looking, "1\n", false);
	under_yama(&looking, "0\n", true);
	caller_sight_end(&looking.sight);
	pair_end(&pair);
}

/* A directory in place of a procfs, in which a file has that text. */
static void write_below(const char *proc, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(proc, name, NULL);
	g_autofree char *directory = g_path_get_dirname(path);

	CU_ASSERT(g_mkdir_with_parents(directory, 0755) == 0);
	CU_ASSERT(g_file_set_contents(path, text, -1, NULL));
}

static void link_below(const char *proc, const char *name, const char *target)
{
	g_autofree char *path = g_build_filename(proc, name, NULL);

	unlink(path);
	CU_ASSERT(symlink(target, path) == 0);
}

static char *status_of(pid_t pid, pid_t parent)
{
	return g_strdup_printf(
		"Name:\tx\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nUid:\t1 1 1 1\nGid:\t1 1 1 1\n"
		"Groups:\t\nCapPrm:\t0\nCapEff:\t0\n",
		pid, pid, parent);
}

struct made_up {
	const char *proc;
	bool own; /* it numbers processes as system calls do */
	struct caller caller;
	pid_t about;
	bool reaches;
};

/* The kernel's question is passed over: there are no such processes. */
static void look_at_made_up(void *data)
{
	const struct made_up *made_up = data;
	g_autofree char *self = g_strdup_printf("%d", made_up->own ? getpid() : 1);
	struct caller_sight sight;

	link_below(made_up->proc, "self", self);
	caller_sight_begin(&sight, made_up->proc, &made_up->caller);
	sight.all = true;
	ASSERT_INT(caller_reaches_memory(&sight, made_up->about), made_up->reaches);
	caller_sight_end(&sight);
}

static void reaches(struct made_up *made_up, pid_t about, bool expected)
{
	int fd = text_descriptor("1\n");

	made_up->about = about;
	made_up->own = true;
	made_up->reaches = expected;
	failing_returns(FAILING({ OPENS(SETTING_YAMA), .result = fd }), look_at_made_up, made_up);
	close(fd);
}

static void searched(void)
{
	CU_FAIL("ancestors were searched for in a procfs of other numbers");
}

static void is_not_searched_for(struct made_up *made_up, pid_t about)
{
	g_autofree char *name = g_strdup_printf("%d", about);
	int fd = text_descriptor("1\n");

	made_up->about = about;
	made_up->own = false;
	made_up->reaches = false;
	failing_returns(FAILING({ OPENS(SETTING_YAMA), .result = fd },
				{ OPENS(name), .if_made = true, .meanwhile = searched }),
		look_at_made_up, made_up);
	close(fd);
}

/* Whatever procfs tells, the search ends; and the number of another procfs's process is not the caller's. */
static void whose_ancestors_are_not_known_is_not_reached(void)
{
	g_autofree char *proc = g_dir_make_tmp("shmtree-sight-XXXXXX", NULL);
	g_autofree char *command = g_strdup_printf("rm -r %s", proc);
	g_autofree char *one = status_of(5000001, 5000002), *two = status_of(5000002, 5000001);
	struct made_up made_up = { .proc = proc };
	g_autofree char *child = NULL;
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &pair_same, &pair))
		return;
	CU_ASSERT(chmod(proc, 0755) == 0);
	made_up.caller = caller_of(pair.first, SOMEBODY);
	child = status_of(5000003, pair.first);
	write_below(proc, "5000001/status", one);
	write_below(proc, "5000002/status", two);
	write_below(proc, "5000003/status", child);
	write_below(proc, "5000004/status", "nothing\n");
	reaches(&made_up, 5000003, true);
	is_not_searched_for(&made_up, 5000003);
	reaches(&made_up, 5000001, false);
	reaches(&made_up, 5000004, false);
	reaches(&made_up, 5000005, false);
	pair_end(&pair);
	CU_ASSERT(system(command) == 0);
}

static CU_TestInfo tests[] = {
	{ "capabilities of a namespace open no map_files",
		capabilities_of_a_namespace_open_no_map_files },
	{ "Yama lets a process reach those that it has started",
		yama_lets_a_process_reach_those_that_it_has_started },
	{ "whose ancestors are not known is not reached",
		whose_ancestors_are_not_known_is_not_reached },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sight_reach_suite = { "sight reach", NULL, NULL, NULL, NULL, tests };

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/proc.h"
#include "procfs/status.h"

#include "../fuzz/texts.h"
#include "corpus.h"
#include "recorded.h"
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct recorded tree;
static struct proc *proc;

static void setup(void)
{
	recorded_init(&tree);
	CU_ASSERT_FATAL(proc_open(tree.path, &proc) == 0);
}

static void teardown(void)
{
	proc_close(proc);
	recorded_remove(&tree);
}

static void a_command_may_look_like_the_rest(void)
{
	struct proc_stat stat;

	CU_ASSERT(
		proc_parse_stat("7 (a) R 1 (b) S 1 2 3 4 5 64 7 8 9 10 11 12 13 14 15 16 17 18 99 "
				"20 21 22 23 24 25",
			&stat));
	ASSERT_STRING(stat.command, "a) R 1 (b");
	ASSERT_INT(stat.state, 'S');
	ASSERT_INT(stat.flags, 64);
	ASSERT_INT(stat.start_time, 99);
	CU_ASSERT(proc_parse_stat("7 (\n) S 1 2 3 4 5 64 7 8 9 10 11 12 13 14 15 16 17 18 99 20",
		&stat));
	ASSERT_STRING(stat.command, "\n");
	CU_ASSERT(proc_parse_stat("7 (a name longer than the kernel keeps) S 1 2 3 4 5 64 7 8 9 10 "
				  "11 12 13 14 15 16 17 18 99 20",
		&stat));
	ASSERT_STRING(stat.command, "a name longer t");
}

static void malformed_stats_are_refused(void)
{
	static const char *const bad[] = {
		"",
		"7",
		"7 (x",
		"7 x)",
		"7 )x(",
		"7 (x)",
		"7 (x) ",
		"7 (x) S",
		"7 (x) SS 1",
		"7 (x) S 1 2 3",
		"7 (x) S 1 2 3 4 5 64 7 8 9 10 11 12 13 14 15 16 17 18 x",
	};
	struct proc_stat stat;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		CU_ASSERT_FALSE(proc_parse_stat(bad[i], &stat));
}

static struct proc_stat stat_of(pid_t pid)
{
	struct proc_stat stat = { 0 };
	auto_fd dir = proc_open_pid(proc, pid);

	CU_ASSERT(dir >= 0);
	ASSERT_INT(proc_read_stat(dir, &stat), 0);
	return stat;
}

static void knows_who_has_no_address_space(void)
{
	struct proc_stat stat;

	recorded_task(&tree, "7", "zombie", 'Z', 0, 5, 0);
	recorded_task(&tree, "8", "exiting", 'R', 4, 5, 0);
	recorded_task(&tree, "9", "alive", 'S', 0x00400000, 5, 0);
	stat = stat_of(2);
	CU_ASSERT(proc_has_no_mm(&stat) && proc_is_kernel_thread(&stat));
	stat = stat_of(7);
	CU_ASSERT(proc_has_no_mm(&stat) && !proc_is_kernel_thread(&stat));
	stat = stat_of(8);
	CU_ASSERT(proc_has_no_mm(&stat));
	stat = stat_of(9);
	CU_ASSERT_FALSE(proc_has_no_mm(&stat));
}

static void lists_what_is_a_number(void)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));

	recorded_file(&tree, "17/stat", "");
	recorded_file(&tree, "self-made/stat", "");
	recorded_file(&tree, "17x/stat", "");
	recorded_file(&tree, "-3/stat", "");
	recorded_file(&tree, "99999999999999999999/stat", "");
	ASSERT_INT(proc_list(proc, pids), 0);
	ASSERT_INT(pids->len, 2);
	if (pids->len == 2)
		ASSERT_INT(g_array_index(pids, pid_t, 0) + g_array_index(pids, pid_t, 1), 19);
}

static void shows_the_effective_user(void)
{
	struct proc_status status;

	recorded_task(&tree, "7", "x", 'S', 0, 5, 4321);
	auto_fd dir = proc_open_pid(proc, 7);
	ASSERT_INT(proc_read_status(dir, &status, NULL), 0);
	ASSERT_INT(status.uids[ID_REAL], 4000);
	ASSERT_INT(status.uids[ID_EFFECTIVE], 4321);
	recorded_file(&tree, "7/status", "Name:\tx\n");
	ASSERT_INT(proc_read_status(dir, &status, NULL), -EPROTO);
	recorded_drop(&tree, "7/status");
	ASSERT_INT(proc_read_status(dir, &status, NULL), -ESRCH);
	recorded_drop(&tree, "7/stat");
	ASSERT_INT(proc_read_stat(dir, &(struct proc_stat){ 0 }), -ESRCH);
	ASSERT_INT(proc_open_pid(proc, 8), -ENOENT);
}

#define STATUS_HEAD "Name:\tx\nTgid:\t7\nPPid:\t1\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
#define STATUS_TAIL "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000400\n"

static void reads_credentials(void)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	struct proc_status status;

	CU_ASSERT(proc_parse_status(STATUS_HEAD "Groups:\t12 4294967295 \n" STATUS_TAIL
						"NoNewPrivs:\t1\n",
		&status, groups));
	ASSERT_INT(status.tgid, 7);
	ASSERT_INT(status.parent, 1);
	ASSERT_INT(status.uids[ID_FS], 4);
	ASSERT_INT(status.gids[ID_SAVED], 7);
	ASSERT_INT(status.permitted, 0x1ffffffffff);
	ASSERT_INT(status.effective, 0x400);
	CU_ASSERT(status.no_new_privs);
	CU_ASSERT_FATAL(groups->len == 2);
	ASSERT_INT(g_array_index(groups, gid_t, 0), 12);
	ASSERT_INT(g_array_index(groups, gid_t, 1), 4294967295);
	g_array_set_size(groups, 0);
	CU_ASSERT(proc_parse_status(STATUS_HEAD "Groups:\t\n" STATUS_TAIL, &status, groups));
	CU_ASSERT(!status.no_new_privs);
	ASSERT_INT(groups->len, 0);
	CU_ASSERT(proc_parse_status(STATUS_HEAD STATUS_TAIL, &status, NULL));
	CU_ASSERT(!proc_parse_status(STATUS_HEAD STATUS_TAIL, &status, groups));
	CU_ASSERT(!proc_parse_status(STATUS_HEAD "Groups:\t1 x\n" STATUS_TAIL, &status, groups));
	CU_ASSERT(!proc_parse_status(STATUS_HEAD "Groups:\t1", &status, groups));
	CU_ASSERT(!proc_parse_status(STATUS_HEAD, &status, NULL));
}

static void reads_namespaces(void)
{
	recorded_link(&tree, "7/ns/ipc", "ipc:[4026531839]");
	recorded_link(&tree, "7/ns/mnt", "nonsense");
	auto_fd dir = proc_open_pid(proc, 7);
	ASSERT_INT(proc_namespace(dir, "ipc"), 4026531839);
	ASSERT_INT(proc_namespace(dir, "mnt"), 0);
	ASSERT_INT(proc_namespace(dir, "pid"), 0);
}

static void says_when_its_view_is_incomplete(void)
{
	CU_ASSERT_PTR_NULL(proc_incomplete_view(proc));
	recorded_task(&tree, "2", "sleep", 'S', 0, 5, 0);
	CU_ASSERT_PTR_NOT_NULL(proc_incomplete_view(proc));
	recorded_drop(&tree, "2");
	CU_ASSERT_PTR_NOT_NULL(proc_incomplete_view(proc));
}

static void tells_our_procfs_from_others(void)
{
	struct proc *live;

	CU_ASSERT_FALSE(proc_is_own(proc));
	recorded_link(&tree, "self", "77");
	ASSERT_INT(proc_pid_here(proc, getpid()), 77);
	ASSERT_INT(proc_pid_here(proc, 5), 5);

	ASSERT_INT(proc_open("/proc", &live), 0);
	CU_ASSERT(proc_is_own(live));
	ASSERT_INT(proc_pid_here(live, getpid()), getpid());
	proc_close(live);
}

static void a_prefix_must_be_a_directory(void)
{
	g_autofree char *file = g_build_filename(tree.path, "2/stat", NULL);
	struct proc *none = NULL;

	ASSERT_INT(proc_open("/nonexistent", &none), -ENOENT);
	ASSERT_INT(proc_open(file, &none), -ENOTDIR);
	CU_ASSERT_PTR_NULL(none);
}

static void the_corpus_of_the_fuzzer_finds_nothing(void)
{
	CU_ASSERT(corpus_replay("corpus-texts", " \n\\-:0()K", fuzz_texts) >= 20);
}

static CU_TestInfo tests[] = {
	{ "a command may look like the rest", a_command_may_look_like_the_rest },
	{ "malformed stats are refused", malformed_stats_are_refused },
	{ "knows who has no address space", knows_who_has_no_address_space },
	{ "lists what is a number", lists_what_is_a_number },
	{ "shows the effective user", shows_the_effective_user },
	{ "reads credentials", reads_credentials },
	{ "reads namespaces", reads_namespaces },
	{ "says when its view is incomplete", says_when_its_view_is_incomplete },
	{ "tells our procfs from others", tells_our_procfs_from_others },
	{ "a prefix must be a directory", a_prefix_must_be_a_directory },
	{ "the corpus of the fuzzer finds nothing", the_corpus_of_the_fuzzer_finds_nothing },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo proc_suite = { "proc", NULL, NULL, setup, teardown, tests };

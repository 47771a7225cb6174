/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is answered when the kernel refuses a census, or what checks it, a call that it hardly ever refuses. */
#include "backend.h"
#include "base/memfd.h"
#include "base/util.h"
#include "daemon/visit.h"
#include "failing.h"
#include "faults/self-test.h"
#include "mapper.h"
#include "recorded.h"
#include "unit.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/stat.h>

/* scan.c: after so many rounds the processes that still appear are counted as not read. */
#define ROUNDS 32

static struct recorded tree;
static struct census *census;

static void setup(void)
{
	recorded_init(&tree);
}

static void teardown(void)
{
	g_clear_pointer(&census, census_free);
	recorded_remove(&tree);
}

static void start(void)
{
	const struct census_config config = { tree.path, CENSUS_TEXT, 1, 0 };

	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
}

/* BPF */

static void do_nothing(void *data, void *user)
{
	(void)data;
	(void)user;
}

/*
 * Some versions of GLib have a thread of their own start those of pools, which a child process does not have. It has its
 * name once it has started one.
 */
static bool has_spawner(void)
{
	GThreadPool *pool = g_thread_pool_new(do_nothing, NULL, 1, FALSE, NULL);
	g_autoptr(GDir) tasks = NULL;
	const char *task;

	g_thread_pool_push(pool, pool, NULL);
	g_thread_pool_free(pool, FALSE, TRUE);
	tasks = g_dir_open("/proc/self/task", 0, NULL);
	while (tasks && (task = g_dir_read_name(tasks))) {
		g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", task);
		g_autofree char *name = NULL;

		if (g_file_get_contents(path, &name, NULL, NULL) &&
			g_str_equal(name, "pool-spawner\n"))
			return true;
	}
	return false;
}

/* Whether a child process can count by BPF, which takes a pool of threads. */
static bool child_has_bpf(void)
{
	const char *why;
	struct census *found = backend_open(CENSUS_BPF, 0, 0, &why);
	bool spawner = has_spawner();

	if (!found)
		unit_skip("%s", why);
	else if (spawner)
		unit_skip("a child process cannot start threads of this GLib's pools");
	census_free(found);
	return found && !spawner;
}

static void hold_by_bpf(void *data)
{
	const char *why;

	census = backend_open(CENSUS_BPF, 0, 0, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(census);
	ASSERT_INT(census_hold(census, CENSUS_ALL), *(const int *)data);
}

static void a_pass_that_cannot_read_descriptors_is_made_again_or_fails(void)
{
	int made = 0, fails = -EMFILE;

	if (!child_has_bpf())
		return;
	failing_returns(FAILING({ SYS_bpf, .argument = 1, .value = BPF_ITER_CREATE, .times = 1,
				.result = -EMFILE }),
		hold_by_bpf, &made);
	failing_returns(
		FAILING({ SYS_bpf, .argument = 1, .value = BPF_ITER_CREATE, .result = -EMFILE }),
		hold_by_bpf, &fails);
}

/* What a process had is not counted any more once it cannot be read: it may be too much. */
struct mapped {
	struct mapper mapper;
	struct segment_key key;
};

/* Of the processes that could not be read, those that are named, and whether this one is. */
struct named {
	pid_t pid;
	uint64_t all;
	bool found;
};

static void find_named(pid_t pid, const char *why, void *data)
{
	struct named *named = data;

	(void)why;
	named->all++;
	named->found |= pid == named->pid;
}

static void read_twice(void *data)
{
	struct mapped *mapped = data;
	struct named named = { .pid = mapped->mapper.pid };
	const char *why;

	census = backend_open(CENSUS_BPF, 0, 0, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(census);
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	ASSERT_INT(census_usage(census, &mapped->key).mappings, 3);
	census_release(census);
	ASSERT_INT(mapper_order(&mapped->mapper, "unmap 2"), 1);
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	ASSERT_INT(census_usage(census, &mapped->key).mappings, 0);
	census_each_unreadable(census, find_named, &named);
	CU_ASSERT(named.found || census_report(census).unreadable > named.all);
	census_release(census);
}

/* It is refused, or a procfs that hides processes says that there is none, time and again. */
static void what_cannot_be_read_any_more_is_not_counted(void)
{
	g_autofree char *path = NULL, *maps = NULL;
	struct mapped mapped;
	struct stat st;

	if (!child_has_bpf())
		return;
	auto_fd fd = memfd_new(0);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, 4096) == 0 && fstat(fd, &st) == 0);
	mapped.key = (struct segment_key){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.class = SEGMENT_MEMFD,
	};
	path = g_strdup_printf("/proc/%d/fd/%d", getpid(), fd);
	mapper_start(&mapped.mapper, path, "rw");
	ASSERT_INT(mapper_order(&mapped.mapper, "map 3"), 3);
	maps = g_strdup_printf("/proc/%d/maps", mapped.mapper.pid);
	failing_returns(
		FAILING({ SYS_openat, .argument = 2, .path = maps, .after = 1, .result = -EACCES }),
		read_twice, &mapped);
	ASSERT_INT(mapper_order(&mapped.mapper, "map 2"), 3);
	failing_returns(
		FAILING({ SYS_openat, .argument = 2, .path = maps, .after = 1, .result = -ENOENT }),
		read_twice, &mapped);
	mapper_end(&mapped.mapper);
}

static void test_faults(void *programs)
{
	const char *why = NULL;

	ASSERT_INT(fault_self_test(programs, FAULT_CASE_NONE, &why), -ENOMEM);
	ASSERT_STRING(why, "self-test: its files could not be made");
}

static void a_self_test_without_its_files_says_so(void)
{
	struct fault_programs *programs;
	const char *why;

	if (fault_programs_load(&programs, &why) < 0)
		SKIP("%s", why);
	failing_returns(
		FAILING({ SYS_newfstatat, .or_call = SYS_fstat, .times = 1, .result = -ENOMEM }),
		test_faults, programs);
	fault_programs_free(programs);
}

static void open_bpf(void *data)
{
	const char *why = NULL;

	(void)data;
	CU_ASSERT_PTR_NULL(backend_open(CENSUS_BPF, 0, 0, &why));
	CU_ASSERT_FATAL(why != NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, g_strerror(ENOMEM)));
}

/* Whether a change is told is tried with a mapping of one byte. */
static void without_proof_that_a_change_is_told_they_do_not_load(void)
{
	if (!child_has_bpf())
		return;
	failing_returns(FAILING({ SYS_mmap, .argument = 2, .value = 1, .result = -ENOMEM }),
		open_bpf, NULL);
}

/* Any back end */

static void visit_what_cannot_be_counted(void *data)
{
	struct fs fs = { 0 };
	struct visit visit;

	(void)data;
	start();
	fs.census = fs.realm.census = census;
	fs.realm.shm_fd = -1;
	ASSERT_INT(visit_enter(&fs, "", CENSUS_ALL, &visit), -EIO);
	ASSERT_INT(visit.needs, 0);
	/* It is not held, nor released once too often. */
	ASSERT_INT(visit_enter(&fs, "", CENSUS_ALL, &visit), 0);
	ASSERT_INT(visit.needs, CENSUS_ALL);
	visit_leave(&fs, &visit);
	ASSERT_INT(census_hold(census, CENSUS_ALL), 0);
	census_release(census);
}

/* As often as a pass is tried. */
static void what_needs_a_census_that_cannot_be_had_is_refused(void)
{
	failing_returns(FAILING({ SYS_getdents64, .times = 3, .result = -EMFILE }),
		visit_what_cannot_be_counted, NULL);
}

static void count_unreadable(void *data)
{
	const struct census_config config = { tree.path, CENSUS_TEXT, tree.dev, 0 };

	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
	ASSERT_INT(census_hold(census, CENSUS_DESCRIPTORS), 0);
	ASSERT_INT(census_report(census).unreadable, *(const int *)data);
	census_release(census);
}

/* A descriptor that is gone by then was closed; of one that cannot be read nobody knows. */
static void a_process_whose_descriptors_cannot_be_read_is_told(void)
{
	int none = 0, one = 1;

	recorded_file(&tree, "object", "");
	recorded_process(&tree, 10, "00400000-00401000 r-xp 00000000 fe:00 7 /bin/x\n");
	recorded_descriptor(&tree, 10, 3, "../../object", "02");
	failing_returns(FAILING({ SYS_readlinkat, .argument = 2, .path = "3", .result = -ENOENT }),
		count_unreadable, &none);
	failing_returns(FAILING({ SYS_readlinkat, .argument = 2, .path = "3", .result = -ESRCH }),
		count_unreadable, &none);
	failing_returns(FAILING({ SYS_readlinkat, .argument = 2, .path = "3", .result = -EIO }),
		count_unreadable, &one);
}

static unsigned rounds;

static void another_process_appears(void)
{
	recorded_process(&tree, 1000 + (pid_t)rounds++, "");
}

static void hold_while_processes_appear(void *data)
{
	(void)data;
	start();
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), -EIO);
	ASSERT_INT(rounds, ROUNDS + 1);
}

/* Each listing opens the directory once, and of the few processes takes two calls, of which the last finds the end. */
static void processes_that_cannot_be_listed_at_last_fail_the_pass(void)
{
	failing_returns(
		FAILING({ SYS_openat, .argument = 2, .path = ".",
				.meanwhile = another_process_appears },
			{ SYS_getdents64, .after = 2 * ROUNDS, .times = 1, .result = -EIO }),
		hold_while_processes_appear, NULL);
}

static CU_TestInfo tests[] = {
	{ "a pass that cannot read descriptors is made again or fails",
		a_pass_that_cannot_read_descriptors_is_made_again_or_fails },
	{ "what cannot be read any more is not counted",
		what_cannot_be_read_any_more_is_not_counted },
	{ "a self-test without its files says so", a_self_test_without_its_files_says_so },
	{ "without proof that a change is told they do not load",
		without_proof_that_a_change_is_told_they_do_not_load },
	{ "what needs a census that cannot be had is refused",
		what_needs_a_census_that_cannot_be_had_is_refused },
	{ "a process whose descriptors cannot be read is told",
		a_process_whose_descriptors_cannot_be_read_is_told },
	{ "processes that cannot be listed at last fail the pass",
		processes_that_cannot_be_listed_at_last_fail_the_pass },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo refused_suite = { "refused", NULL, NULL, setup, teardown, tests };

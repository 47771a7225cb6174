/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who shares a pass of the census with whom. Nothing here depends on how fast anything is. */
#include "census/census.h"
#include "procfs/proc.h"

#include "recorded.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define SHM makedev(0, 0x19)
#define READERS 64

static struct recorded tree;
static struct census *census;
static const struct segment_key key = { .dev = 0x19, .ino = 5, .class = SEGMENT_FILE };

static void setup(void)
{
	struct census_config config = { NULL, CENSUS_TEXT, SHM, 0 };

	recorded_init(&tree);
	config.proc = tree.path;
	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
}

static void teardown(void)
{
	census_free(census);
	recorded_remove(&tree);
}

struct reader {
	GThread *thread;
	unsigned facets;
	atomic_int tid; /* once it is about to ask */
	struct usage usage;
	int result;
};

static void *read_once(void *data)
{
	struct reader *reader = data;

	atomic_store(&reader->tid, (int)syscall(SYS_gettid));
	reader->result = census_hold(census, reader->facets);
	if (!reader->result) {
		reader->usage = census_usage(census, &key);
		census_release(census);
	}
	return NULL;
}

static bool sleeps(struct proc *proc, pid_t tid)
{
	auto_fd dir = proc_open_pid(proc, tid);
	struct proc_stat stat;

	return proc_read_stat(dir, &stat) == 0 && stat.state == 'S';
}

/*
 * Starts readers and waits until all of them sleep at once: then none is on its way through the
 * lock, and all are waiting for a pass.
 */
static void start(struct reader *readers, int n, unsigned facets)
{
	struct proc *proc;
	int asleep;

	CU_ASSERT_FATAL(proc_open("/proc", &proc) == 0);
	for (int i = 0; i < n; i++) {
		readers[i] = (struct reader){ .facets = facets };
		readers[i].thread = g_thread_new("reader", read_once, &readers[i]);
	}
	do {
		asleep = 0;
		for (int i = 0; i < n; i++) {
			pid_t tid = atomic_load(&readers[i].tid);

			asleep += tid && sleeps(proc, tid);
		}
	} while (asleep < n);
	proc_close(proc);
}

static void join(struct reader *readers, int n)
{
	for (int i = 0; i < n; i++)
		g_thread_join(readers[i].thread);
}

static void a_process_maps(int n)
{
	g_autoptr(GString) maps = g_string_new(NULL);

	for (int i = 0; i < n; i++) {
		g_autofree char *map =
			recorded_map(0x10000 + i * 0x1000, "rw-s", SHM, 5, "/dev/shm/x");

		g_string_append(maps, map);
	}
	recorded_process(&tree, 10, maps->str);
}

static void those_who_wait_share_one_pass(void)
{
	struct reader readers[READERS];

	a_process_maps(1);
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	start(readers, READERS, CENSUS_MAPPINGS);
	ASSERT_INT(census_report(census).passes, 1);
	/* They see what was so after they asked, not what we hold. */
	ASSERT_INT(census_usage(census, &key).mappings, 1);
	a_process_maps(3);
	ASSERT_INT(census_usage(census, &key).mappings, 1);
	census_release(census);
	join(readers, READERS);
	ASSERT_INT(census_report(census).passes, 2);
	for (int i = 0; i < READERS; i++) {
		ASSERT_INT(readers[i].result, 0);
		ASSERT_INT(readers[i].usage.mappings, 3);
	}
}

/* What is to be opened beforehand may take so long that others have asked meanwhile. */
static void preparing_is_no_pass_that_others_wait_for(void)
{
	struct reader reader;

	a_process_maps(1);
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	start(&reader, 1, CENSUS_MAPPINGS);
	census_prepare(census);
	a_process_maps(3);
	census_release(census);
	join(&reader, 1);
	ASSERT_INT(reader.usage.mappings, 3);
	ASSERT_INT(census_report(census).passes, 2);
}

static void a_shared_pass_looks_at_all_that_was_asked_for(void)
{
	struct reader readers[2];

	a_process_maps(1);
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	start(&readers[0], 1, CENSUS_MAPPINGS);
	start(&readers[1], 1, CENSUS_DESCRIPTORS);
	census_release(census);
	join(readers, 2);
	ASSERT_INT(readers[0].usage.mappings, 1);
	ASSERT_INT(readers[1].usage.mappings, 1);
	ASSERT_INT(census_report(census).passes, 2);
}

/* A maps file that gives its content when we say so: opening it waits for the other side. */
static void make_gate(char **path)
{
	a_process_maps(1);
	*path = g_build_filename(tree.path, "10/maps", NULL);
	CU_ASSERT_FATAL(unlink(*path) == 0 && mkfifo(*path, 0600) == 0);
}

/* Returns once a pass has come to the gate; it then sees `maps`. */
static void open_gate(const char *path, const char *maps)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);

	CU_ASSERT(write(fd, maps, strlen(maps)) == (ssize_t)strlen(maps));
}

static void a_pass_begun_before_answers_nobody_who_comes_later(void)
{
	g_autofree char *map = recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x");
	g_autofree char *other = recorded_map(0x20000, "rw-s", SHM, 5, "/dev/shm/x");
	g_autofree char *both = g_strconcat(map, other, NULL);
	g_autofree char *path = NULL;
	struct reader early, late[2];

	make_gate(&path);
	early = (struct reader){ .facets = CENSUS_MAPPINGS };
	early.thread = g_thread_new("early", read_once, &early);
	/* The open() of a writer ends when the pass has opened the other side. */
	auto_fd gate = open(path, O_WRONLY | O_CLOEXEC);
	start(late, 2, CENSUS_MAPPINGS);
	ASSERT_INT(census_report(census).passes, 0);
	CU_ASSERT(write(gate, map, strlen(map)) == (ssize_t)strlen(map));
	/* Not the same pipe again, of which the first pass might see the end too late. */
	CU_ASSERT(unlink(path) == 0 && mkfifo(path, 0600) == 0);
	close(gate);
	gate = -1;
	open_gate(path, both);
	join(&early, 1);
	join(late, 2);
	ASSERT_INT(early.usage.mappings, 1);
	ASSERT_INT(late[0].usage.mappings, 2);
	ASSERT_INT(late[1].usage.mappings, 2);
	ASSERT_INT(census_report(census).passes, 2);
}

static void *read_often(void *data)
{
	struct reader *reader = data;

	for (int i = 0; i < 200 && !reader->result; i++)
		read_once(reader);
	return NULL;
}

static void many_readers_never_see_a_table_in_change(void)
{
	struct reader readers[8] = { 0 };

	for (int i = 0; i < 8; i++) {
		readers[i].facets = i % 2 ? CENSUS_MAPPINGS : CENSUS_MAPPINGS | CENSUS_DESCRIPTORS;
		readers[i].thread = g_thread_new("reader", read_often, &readers[i]);
	}
	/* Not in place: a file that is replaced whole has the one length or the other. */
	for (int i = 0; i < 200; i++) {
		a_process_maps(2 + i % 2 * 2);
		ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
		ASSERT_INT(census_usage(census, &key).mappings, 2 + i % 2 * 2);
		ASSERT_INT(census_usage(census, &key).processes, 1);
		census_release(census);
	}
	join(readers, 8);
	for (int i = 0; i < 8; i++)
		ASSERT_INT(readers[i].result, 0);
	CU_ASSERT(census_report(census).passes <= 200 + 8 * 200);
}

static CU_TestInfo tests[] = {
	{ "those who wait share one pass", those_who_wait_share_one_pass },
	{ "preparing is no pass that others wait for", preparing_is_no_pass_that_others_wait_for },
	{ "a shared pass looks at all that was asked for",
		a_shared_pass_looks_at_all_that_was_asked_for },
	{ "a pass begun before answers nobody who comes later",
		a_pass_begun_before_answers_nobody_who_comes_later },
	{ "many readers never see a table in change", many_readers_never_see_a_table_in_change },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo passes_suite = { "passes", NULL, NULL, setup, teardown, tests };

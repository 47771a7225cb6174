/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The census of a procfs of which everything is known. */
#include "census/census.h"
#include "kinds/item-use.h"
#include "kinds/kind.h"

#include "recorded.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BOTH (CENSUS_MAPPINGS | CENSUS_DESCRIPTORS)
#define SHM makedev(0, 0x19)
#define MOUNT makedev(0, 0x44)
#define SOMEBODY 54321

static struct recorded tree;
static struct census *census;

static void start(uint64_t shm_dev, pid_t self)
{
	struct census_config config = { tree.path, CENSUS_TEXT, shm_dev, self };

	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
}

static void setup(void)
{
	recorded_init(&tree);
}

static void teardown(void)
{
	g_clear_pointer(&census, census_free);
	recorded_remove(&tree);
}

static struct segment_key file_key(uint64_t ino)
{
	return (struct segment_key){ .dev = SHM, .ino = ino, .class = SEGMENT_FILE };
}

static struct segment_key internal_key(enum segment_class class, uint64_t ino, uint32_t ns)
{
	return (struct segment_key){
		.dev = census_internal_device(census),
		.ino = ino,
		.ns = ns,
		.class = class,
	};
}

static void assert_usage(struct segment_key key, unsigned mappings, unsigned processes,
	unsigned openers)
{
	struct usage usage = census_usage(census, &key);

	ASSERT_INT(usage.mappings, mappings);
	ASSERT_INT(usage.processes, processes);
	ASSERT_INT(usage.openers, openers);
}

static void process(pid_t pid, char *map1, char *map2, char *map3)
{
	g_autofree char *maps = g_strconcat("00400000-00401000 r-xp 00000000 fe:00 7 /bin/x\n",
		map1, map2, map3, NULL);

	recorded_process(&tree, pid, maps);
	g_free(map1);
	g_free(map2);
	g_free(map3);
}

static void hold(unsigned facets)
{
	ASSERT_INT(census_hold(census, facets), 0);
}

static void counts_mappings_and_processes(void)
{
	process(10, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"),
		recorded_map(0x20000, "r--p", SHM, 5, "/dev/shm/x"),
		recorded_map(0x30000, "rw-s", SHM, 6, "/dev/shm/x (deleted)"));
	process(11, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"), NULL, NULL);
	process(12, recorded_map(0x10000, "rw-s", makedev(0, 0x1a), 5, "/dev/shm/x"), NULL, NULL);
	start(SHM, 0);
	hold(CENSUS_MAPPINGS);
	assert_usage(file_key(5), 3, 2, 0);
	assert_usage(file_key(6), 1, 1, 0);
	assert_usage(file_key(7), 0, 0, 0);
	struct census_report report = census_report(census);
	ASSERT_STRING(report.backend, "text");
	ASSERT_INT(report.passes, 1);
	ASSERT_INT(report.spaces, 3);
	ASSERT_INT(report.reread, 3);
	ASSERT_INT(report.unreadable, 0);
	CU_ASSERT_PTR_NULL(report.incomplete_view);
	census_release(census);
}

static void append_row(const struct mapping_row *row, void *data)
{
	g_string_append_printf(data, "%d %u %s %" PRIx64 "-%" PRIx64 " %s %" PRIx64 "\n", row->pid,
		row->uid, row->command, row->start, row->end, row->perms, row->offset);
}

static void shows_who_maps(void)
{
	g_autoptr(GString) rows = g_string_new(NULL);
	struct segment_key key = file_key(5);

	process(11, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"), NULL, NULL);
	process(10, recorded_map(0x10000, "r--p", SHM, 5, "/dev/shm/x"),
		recorded_map(0x20000, "rwxs", SHM, 5, "/dev/shm/x"), NULL);
	start(SHM, 0);
	hold(CENSUS_MAPPINGS);
	census_each_mapping(census, &key, append_row, rows);
	ASSERT_STRING(rows->str,
		"10 5010 program 10 10000-11000 r--p 3000\n"
		"10 5010 program 10 20000-21000 rwxs 3000\n"
		"11 5011 program 11 10000-11000 rw-s 3000\n");
	census_release(census);
}

static void tells_kinds_and_namespaces_apart(void)
{
	start(SHM, 0);
	uint64_t dev = census_internal_device(census);
	recorded_link(&tree, "self", "9");
	recorded_link(&tree, "9/ns/ipc", "ipc:[4026531839]");
	process(9, recorded_map(0x10000, "rw-s", dev, 3, "/SYSV00000000 (deleted)"), NULL, NULL);
	process(10, recorded_map(0x10000, "rw-s", dev, 3, "/SYSV00000000 (deleted)"),
		recorded_map(0x20000, "rw-s", dev, 3, "/memfd:SYSV (deleted)"),
		recorded_map(0x30000, "rw-s", dev, 3, "/dev/zero (deleted)"));
	process(12, recorded_map(0x10000, "rw-s", dev, 4, "[anon_shmem:named]"), NULL, NULL);
	recorded_link(&tree, "10/ns/ipc", "ipc:[4026531839]");
	process(11, recorded_map(0x10000, "rw-s", dev, 3, "/SYSV00000000 (deleted)"), NULL, NULL);
	recorded_link(&tree, "11/ns/ipc", "ipc:[4026532777]");
	hold(CENSUS_MAPPINGS);
	assert_usage(internal_key(SEGMENT_SYSV, 3, 0), 2, 2, 0);
	assert_usage(internal_key(SEGMENT_SYSV, 3, 4026532777), 1, 1, 0);
	assert_usage(internal_key(SEGMENT_MEMFD, 3, 0), 1, 1, 0);
	assert_usage(internal_key(SEGMENT_ANON, 3, 0), 1, 1, 0);
	assert_usage(internal_key(SEGMENT_ANON, 4, 0), 1, 1, 0);
	ASSERT_INT(census_report(census).unreadable, 0);
	census_release(census);
}

static void a_namespace_that_cannot_be_told_is_not_ours(void)
{
	start(SHM, 0);
	uint64_t dev = census_internal_device(census);
	recorded_link(&tree, "self", "9");
	recorded_link(&tree, "9/ns/ipc", "ipc:[4026531839]");
	process(9, NULL, NULL, NULL);
	process(10, recorded_map(0x10000, "rw-s", dev, 3, "/SYSV00000000 (deleted)"), NULL, NULL);
	recorded_link(&tree, "10/ns/ipc", "no namespace");
	hold(CENSUS_MAPPINGS);
	assert_usage(internal_key(SEGMENT_SYSV, 3, 0), 0, 0, 0);
	ASSERT_INT(census_report(census).unreadable, 1);
	census_release(census);
}

static void what_the_mount_shows_is_the_segment(void)
{
	start(SHM, 0);
	struct segment_key file = file_key(5), memfd = internal_key(SEGMENT_MEMFD, 6, 0);
	process(10, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"),
		recorded_map(0x20000, "rw-s", MOUNT, census_mount_ino(census, &file), "/mnt/x"),
		recorded_map(0x30000, "rw-s", MOUNT, census_mount_ino(census, &memfd),
			"/mnt/data"));
	hold(CENSUS_MAPPINGS);
	assert_usage(file, 1, 1, 0);
	census_release(census);

	census_set_mount(census, MOUNT);
	hold(CENSUS_MAPPINGS);
	assert_usage(file, 2, 1, 0);
	assert_usage(memfd, 1, 1, 0);
	census_release(census);
}

static void another_tmpfs_counts_once_it_is_known(void)
{
	uint64_t dev = makedev(0, 0x77);
	struct segment_key key = { .dev = dev, .ino = 5, .class = SEGMENT_FILE };

	process(10, recorded_map(0x10000, "rw-s", dev, 5, "/dev/shm/x"), NULL, NULL);
	start(SHM, 0);
	hold(CENSUS_MAPPINGS);
	assert_usage(key, 0, 0, 0);
	census_release(census);
	census_add_device(census, dev);
	hold(CENSUS_MAPPINGS);
	assert_usage(key, 1, 1, 0);
	assert_usage(file_key(5), 0, 0, 0);
	census_release(census);
}

static void the_daemon_is_left_out(void)
{
	process(10, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"), NULL, NULL);
	process(11, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"), NULL, NULL);
	start(SHM, 10);
	hold(BOTH);
	assert_usage(file_key(5), 1, 1, 0);
	ASSERT_INT(census_report(census).spaces, 1);
	census_release(census);
}

static void a_process_outlives_its_first_thread(void)
{
	g_autofree char *map = recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x");
	struct segment_key key = file_key(5);
	struct segment_user user;

	recorded_task(&tree, "10", "dead leader", 'Z', 0, 100, 7);
	recorded_file(&tree, "10/maps", "");
	recorded_task(&tree, "10/task/10", "dead leader", 'Z', 0, 100, 7);
	recorded_task(&tree, "10/task/12", "worker", 'S', 0, 101, 7);
	recorded_file(&tree, "10/task/12/maps", map);
	recorded_task(&tree, "20", "zombie", 'Z', 0, 100, 7);
	recorded_file(&tree, "20/maps", "");
	recorded_task(&tree, "20/task/20", "zombie", 'Z', 0, 100, 7);
	start(SHM, 0);
	hold(CENSUS_MAPPINGS);
	assert_usage(key, 1, 1, 0);
	CU_ASSERT(census_segment_user(census, &key, &user));
	ASSERT_INT(user.task, 12);
	ASSERT_INT(census_report(census).spaces, 1);
	ASSERT_INT(census_report(census).unreadable, 0);
	census_release(census);
}

static void overlapping_rows_are_one_mapping_that_grew(void)
{
	process(10, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"),
		g_strdup_printf("00010000-00013000 rw-s 00000000 00:19 5 /dev/shm/x\n"),
		recorded_map(0x13000, "rw-s", SHM, 5, "/dev/shm/x"));
	start(SHM, 0);
	hold(CENSUS_MAPPINGS);
	assert_usage(file_key(5), 2, 1, 0);
	census_release(census);
}

/* Objects for descriptors: files of the tree, which then is on the tmpfs in question. */
static struct segment_key object(const char *name)
{
	g_autofree char *path = g_build_filename(tree.path, name, NULL);
	struct stat st;

	recorded_file(&tree, name, "");
	CU_ASSERT_FATAL(stat(path, &st) == 0);
	return (struct segment_key){ .dev = st.st_dev, .ino = st.st_ino, .class = SEGMENT_FILE };
}

static void append_descriptor(const struct descriptor_row *row, void *data)
{
	g_string_append_printf(data, "%d %u %s %d %o\n", row->pid, row->uid, row->command, row->fd,
		row->flags);
}

static void counts_and_shows_descriptors(void)
{
	const char *three = "10 5010 program 10 3 2\n", *four = "10 5010 program 10 4 10000000\n";
	g_autoptr(GString) rows = g_string_new(NULL);
	struct segment_key key = object("object");
	struct segment_user user;

	process(10, NULL, NULL, NULL);
	recorded_descriptor(&tree, 10, 0, "/dev/null", "0100002");
	recorded_descriptor(&tree, 10, 3, "../../object", "02100002");
	recorded_descriptor(&tree, 10, 4, "../../object", "012100000");
	recorded_descriptor(&tree, 10, 5, "../../2", "0100000"); /* a directory there */
	recorded_descriptor(&tree, 10, 6, "/nonexistent", "02"); /* closed meanwhile */
	start(tree.dev, 0);
	hold(BOTH);
	assert_usage(key, 0, 0, 2);
	census_each_descriptor(census, &key, append_descriptor, rows);
	/* In whichever order the directory has them; that of a real procfs is ascending. */
	CU_ASSERT_PTR_NOT_NULL(strstr(rows->str, three));
	CU_ASSERT_PTR_NOT_NULL(strstr(rows->str, four));
	ASSERT_INT(rows->len, strlen(three) + strlen(four));
	CU_ASSERT(census_segment_user(census, &key, &user));
	ASSERT_INT(user.task, 10);
	ASSERT_INT(user.start, 0);
	CU_ASSERT(user.fd == 3 || user.fd == 4);
	census_release(census);

	/* A pass that does not look at descriptors knows of none. */
	hold(CENSUS_MAPPINGS);
	assert_usage(key, 0, 0, 0);
	CU_ASSERT_FALSE(census_segment_user(census, &key, &user));
	census_release(census);
}

/* What the kernel would say where nothing else tells: kind->is_free(). */
static int proof;

static int prove(const struct realm *realm, const struct item *item)
{
	(void)realm, (void)item;
	return proof;
}

static enum segment_state state_of(struct segment_key key, bool in_use)
{
	static const struct kind kind = { .is_free = prove };
	const struct item item = { .kind = &kind, .key = key, .in_use = in_use };
	const struct realm realm = { .census = census };
	struct item_use use;

	item_use(&realm, &item, &use);
	CU_ASSERT_FALSE(use.references.known);
	CU_ASSERT(use.references.count == REFERENCES_UNKNOWN);
	CU_ASSERT(use.references.hidden == REFERENCES_UNKNOWN);
	return use.state;
}

static void what_the_kernel_counts_is_never_idle(void)
{
	struct segment_key idle = object("idle"), held = object("held");

	recorded_descriptor(&tree, 10, 3, "../../held", "02");
	process(10, NULL, NULL, NULL);
	start(tree.dev, 0);
	proof = 1;
	hold(BOTH);
	ASSERT_INT(state_of(idle, true), STATE_HELD);
	ASSERT_INT(state_of(held, true), STATE_OPEN);
	ASSERT_INT(state_of(idle, false), STATE_IDLE);
	census_release(census);
}

static void idle_is_said_only_with_a_proof(void)
{
	struct segment_key idle = object("idle"), held = object("held"), mapped = object("mapped");

	process(10, recorded_map(0x10000, "rw-s", tree.dev, mapped.ino, "/dev/shm/mapped"), NULL,
		NULL);
	recorded_descriptor(&tree, 10, 3, "../../held", "02");
	start(tree.dev, 0);
	hold(BOTH);
	ASSERT_INT(census_report(census).unreadable, 0);
	/* That every process could be read is no proof: a socket may hold it. */
	proof = -EACCES;
	ASSERT_INT(state_of(idle, false), STATE_UNKNOWN);
	ASSERT_INT(state_of(held, false), STATE_OPEN);
	ASSERT_INT(state_of(mapped, false), STATE_MAPPED);
	proof = 0;
	ASSERT_INT(state_of(idle, false), STATE_HELD);
	proof = 1;
	ASSERT_INT(state_of(idle, false), STATE_IDLE);
	ASSERT_INT(state_of(mapped, false), STATE_MAPPED);
	census_release(census);
	ASSERT_STRING(segment_state_name(STATE_HELD), "held");
	ASSERT_STRING(segment_state_name(STATE_UNKNOWN), "unknown");
}

static void what_cannot_be_read_is_counted(void)
{
	struct segment_key mapped = object("mapped");

	process(10, recorded_map(0x10000, "rw-s", tree.dev, mapped.ino, "/dev/shm/mapped"), NULL,
		NULL);
	start(tree.dev, 0);
	recorded_process(&tree, 11, "this is no maps file\n");
	hold(BOTH);
	ASSERT_INT(census_report(census).unreadable, 1);
	ASSERT_INT(state_of(mapped, false), STATE_MAPPED);
	census_release(census);

	recorded_drop(&tree, "11");
	recorded_drop(&tree, "2");
	hold(BOTH);
	ASSERT_INT(census_report(census).unreadable, 0);
	CU_ASSERT_PTR_NOT_NULL(census_report(census).incomplete_view);
	census_release(census);
}

static void append_unreadable(pid_t pid, const char *why, void *data)
{
	g_string_append_printf(data, "%d %s\n", pid, why);
}

/* Whoever may not look does not know that there is nothing. */
static void who_is_denied_has_not_seen_it_gone(void)
{
	static const char *const open[] = { "2", "10", NULL };
	g_autoptr(GString) why = g_string_new(NULL);
	uid_t own = setfsuid(-1);

	if (own != 0)
		SKIP("only root may become another user");
	process(10, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"), NULL, NULL);
	process(11, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"), NULL, NULL);
	CU_ASSERT_FATAL(chmod(tree.path, 0755) == 0);
	for (const char *const *name = open; *name; name++) {
		g_autofree char *path = g_build_filename(tree.path, *name, NULL);

		CU_ASSERT_FATAL(chmod(path, 0755) == 0);
	}
	start(SHM, 0);
	setfsuid(SOMEBODY); /* the thread that makes the pass inherits it */
	hold(CENSUS_MAPPINGS);
	setfsuid(own);
	assert_usage(file_key(5), 1, 1, 0);
	ASSERT_INT(census_report(census).unreadable, 1);
	census_each_unreadable(census, append_unreadable, why);
	ASSERT_STRING(why->str, "11 Permission denied\n");
	census_release(census);
}

static void count_segment(const struct segment_key *key, const struct usage *usage, void *data)
{
	int *counts = data;

	(void)key;
	counts[0]++;
	counts[1] += usage->mappings;
}

static void lists_segments_in_use(void)
{
	int counts[2] = { 0 };

	process(10, recorded_map(0x10000, "rw-s", SHM, 5, "/dev/shm/x"),
		recorded_map(0x20000, "rw-s", SHM, 6, "/dev/shm/y"),
		recorded_map(0x30000, "rw-s", SHM, 6, "/dev/shm/y"));
	start(SHM, 0);
	hold(CENSUS_MAPPINGS);
	census_each_segment(census, count_segment, counts);
	ASSERT_INT(counts[0], 2);
	ASSERT_INT(counts[1], 3);
	census_release(census);

	recorded_drop(&tree, "10");
	memset(counts, 0, sizeof(counts));
	hold(CENSUS_MAPPINGS);
	census_each_segment(census, count_segment, counts);
	ASSERT_INT(counts[0], 0);
	census_release(census);
}

static void a_chosen_back_end_works_or_fails(void)
{
	struct census_config config = { tree.path, CENSUS_QUERY, SHM, 0 };
	struct census *none = NULL;

	/* A recorded tree answers no queries. */
	CU_ASSERT(census_new(&config, &none) < 0);
	CU_ASSERT_PTR_NULL(none);
	config.backend = CENSUS_AUTO;
	ASSERT_INT(census_new(&config, &census), 0);
	/* The first pass finds the best that works. */
	hold(CENSUS_MAPPINGS);
	census_release(census);
	ASSERT_STRING(census_report(census).backend, "text");
	CU_ASSERT_PTR_NOT_NULL(census_report(census).why_not_better);
	config.proc = "/nonexistent";
	ASSERT_INT(census_new(&config, &none), -ENOENT);
}

static CU_TestInfo tests[] = {
	{ "counts mappings and processes", counts_mappings_and_processes },
	{ "shows who maps", shows_who_maps },
	{ "tells kinds and namespaces apart", tells_kinds_and_namespaces_apart },
	{ "a namespace that cannot be told is not ours",
		a_namespace_that_cannot_be_told_is_not_ours },
	{ "what the mount shows is the segment", what_the_mount_shows_is_the_segment },
	{ "another tmpfs counts once it is known", another_tmpfs_counts_once_it_is_known },
	{ "the daemon is left out", the_daemon_is_left_out },
	{ "a process outlives its first thread", a_process_outlives_its_first_thread },
	{ "overlapping rows are one mapping that grew",
		overlapping_rows_are_one_mapping_that_grew },
	{ "counts and shows descriptors", counts_and_shows_descriptors },
	{ "idle is said only with a proof", idle_is_said_only_with_a_proof },
	{ "what cannot be read is counted", what_cannot_be_read_is_counted },
	{ "who is denied has not seen it gone", who_is_denied_has_not_seen_it_gone },
	{ "what the kernel counts is never idle", what_the_kernel_counts_is_never_idle },
	{ "lists segments in use", lists_segments_in_use },
	{ "a chosen back end works or fails", a_chosen_back_end_works_or_fails },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo recorded_suite = { "recorded", NULL, NULL, setup, teardown, tests };

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The views of all segments for other programs, of a machine of which everything is known. */
#include "census/census.h"
#include "kinds/segment-users.h"
#include "views/dot.h"
#include "views/memory.h"
#include "views/openmetrics-segments.h"
#include "views/openmetrics.h"
#include "views/ranking.h"

#include "recorded.h"
#include "somebody.h"
#include "unit.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOTH (CENSUS_MAPPINGS | CENSUS_DESCRIPTORS)

static struct recorded tree;
static struct census *census;
static struct realm realm;

static void setup(void)
{
	g_autofree char *objects = NULL;
	struct census_config config = { .backend = CENSUS_TEXT };

	recorded_init(&tree);
	recorded_file(&tree, "objects/first", "abc");
	config.proc = tree.path;
	config.shm_dev = tree.dev;
	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
	objects = g_build_filename(tree.path, "objects", NULL);
	realm = (struct realm){
		.proc = tree.path,
		.census = census,
		.shm_fd = open(objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.shm_dev = tree.dev,
		.internal_dev = census_internal_device(census),
	};
	CU_ASSERT_FATAL(realm.shm_fd >= 0);
}

static void teardown(void)
{
	close(realm.shm_fd);
	g_clear_pointer(&census, census_free);
	recorded_remove(&tree);
}

static uint64_t inode(const char *object)
{
	struct stat st;

	CU_ASSERT_FATAL(fstatat(realm.shm_fd, object, &st, 0) == 0);
	return st.st_ino;
}

/* One that has the object mapped once, and holds it `descriptors` times. */
static void user_of(const char *object, pid_t pid, int descriptors)
{
	g_autofree char *map = recorded_map(0x10000, "rw-s", tree.dev, inode(object), "/dev/shm/x");
	g_autofree char *target = g_strconcat("../../objects/", object, NULL);

	recorded_process(&tree, pid, map);
	for (int fd = 10; fd < 10 + descriptors; fd++)
		recorded_descriptor(&tree, pid, fd, target, "02");
}

/* The kernel's check of who sees the memory of a process is whether this can be followed. */
static void make_visible(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("%d/exe", pid);

	recorded_link(&tree, path, "/bin/x");
}

/* `metrics`. */
static char *summary_text(unsigned largest)
{
	GString *text = g_string_new(NULL);

	ASSERT_INT(openmetrics_show(&realm, NULL, largest, NULL, text), 0);
	return g_string_free(text, FALSE);
}

/* `metrics.segments`. */
static char *metrics_text(void)
{
	GString *text = g_string_new(NULL);
	struct view_rows rows;

	ASSERT_INT(openmetrics_segments(&realm, NULL, &rows), 0);
	for (size_t row = 0; row < rows.n; row++)
		rows.format(rows.snapshot, row, text);
	rows.free(rows.snapshot);
	return g_string_free(text, FALSE);
}

static void assert_has(const char *text, const char *lines)
{
	if (!strstr(text, lines))
		printf("not there: %s\n", lines);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, lines));
}

static unsigned occurrences(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

static void samples_of_a_family_stand_together(void)
{
	g_autofree char *text = NULL;

	recorded_file(&tree, "objects/two\nlines", "");
	user_of("first", 10, 2);
	text = metrics_text();
	/* In whichever order the directory has them. */
	assert_has(text,
		"# TYPE shmtree_segment_mappings gauge\n"
		"# HELP shmtree_segment_mappings How many times it is mapped, in all address "
		"spaces.\n"
		"shmtree_segment_mappings{kind=\"posix\",id=\"");
	assert_has(text, "shmtree_segment_mappings{kind=\"posix\",id=\"first\"} 1\n");
	assert_has(text,
		"shmtree_segment_mappings{kind=\"posix\",id=\"two\\nlines\"} "
		"0\n");
	assert_has(text, "shmtree_segment_openers{kind=\"posix\",id=\"first\"} 2\n");
	assert_has(text,
		"# TYPE shmtree_segment_size_bytes gauge\n"
		"# UNIT shmtree_segment_size_bytes bytes\n# HELP shmtree_segment_size_bytes ");
	assert_has(text, "shmtree_segment_size_bytes{kind=\"posix\",id=\"first\"} 3\n");
	assert_has(text, "id=\"first\",name=\"first\",state=\"mapped\",uid=\"");
	ASSERT_INT(occurrences(text, "\nshmtree_segment_info{"), 2);
	CU_ASSERT(g_str_has_suffix(text, "\n# EOF\n"));
	ASSERT_INT(occurrences(text, "# EOF"), 1);
}

static void sums_by_kind_state_user_and_the_census(void)
{
	g_autofree char *text = NULL;
	g_autofree char *user =
		g_strdup_printf("\nshmtree_user_segments{uid=\"%u\"} 1\n", geteuid());

	recorded_process(&tree, 11, "this is no maps file\n");
	text = summary_text(50);
	assert_has(text, "\nshmtree_build_info{version=\"" SHMTREE_VERSION "\"} 1\n");
	assert_has(text,
		"# TYPE shmtree_segments gauge\n"
		"# HELP shmtree_segments Segments of each kind.\n"
		"shmtree_segments{kind=\"posix\"} 1\n");
	assert_has(text, "\nshmtree_state_segments{kind=\"posix\",state=\"mapped\"} 0\n");
	assert_has(text, "\nshmtree_state_segments{kind=\"posix\",state=\"idle\"} 1\n");
	ASSERT_INT(occurrences(text, "\nshmtree_state_segments{kind=\"posix\","), SEGMENT_STATES);
	assert_has(text, "\nshmtree_size_bytes{kind=\"posix\"} 3\n");
	assert_has(text, "\nshmtree_state_size_bytes{kind=\"posix\",state=\"idle\"} 3\n");
	assert_has(text, user);
	assert_has(text, "\nshmtree_census_backend_info{backend=\"text\"} 1\n");
	assert_has(text,
		"\n# HELP shmtree_census_passes_total Passes over all processes.\n"
		"shmtree_census_passes_total 1\n");
	assert_has(text, "\nshmtree_census_unreadable_processes 1\n");
	assert_has(text, "\nshmtree_census_incomplete_view 0\n");
	assert_has(text, "\nshmtree_limit_bytes{resource=\"TMPFS_BYTES\"} ");
	assert_has(text, "name=\"first\",state=\"idle\"");
	CU_ASSERT(g_str_has_suffix(text, "\n# EOF\n"));
}

static void as_many_segments_as_wanted_are_told_one_by_one(void)
{
	static const char *const numbers[] = { "0", "1", "2", "3", NULL };
	g_autofree char *all = NULL, *some = NULL, *none = NULL;

	/* Of as much memory, the larger ones. */
	for (const char *const *number = numbers; *number; number++) {
		g_autofree char *name = g_strconcat("more.", *number, NULL);
		g_autofree char *path = g_strconcat(tree.path, "/objects/", name, NULL);
		g_autofree char *text = g_strnfill(100 + **number, 'x');

		CU_ASSERT_FATAL(g_file_set_contents(path, text, -1, NULL));
	}
	all = summary_text(50);
	ASSERT_INT(occurrences(all, "\nshmtree_segment_size_bytes{"), 5);
	assert_has(all, "\nshmtree_segments_left_out 0\n");
	some = summary_text(2);
	ASSERT_INT(occurrences(some, "\nshmtree_segment_size_bytes{"), 2);
	assert_has(some,
		"\nshmtree_segment_size_bytes{kind=\"posix\",id=\"more.2\"} 150\n"
		"shmtree_segment_size_bytes{kind=\"posix\",id=\"more.3\"} 151\n");
	assert_has(some, "\nshmtree_segments_left_out 3\n");
	assert_has(some, "\nshmtree_state_segments{kind=\"posix\",state=\"idle\"} 5\n");
	none = summary_text(0);
	ASSERT_INT(occurrences(none, "\nshmtree_segment_size_bytes{"), 0);
}

static void what_is_not_known_has_no_sample(void)
{
	static const struct timespec never[2];
	g_autofree char *text = NULL;

	CU_ASSERT_FATAL(utimensat(realm.shm_fd, "first", never, 0) == 0);
	text = metrics_text();
	ASSERT_INT(occurrences(text, "shmtree_segment_modified_timestamp_seconds{"), 0);
	ASSERT_INT(occurrences(text, "shmtree_segment_idle_since_timestamp_seconds{"), 1);
}

static void assert_ranked(const GArray *ranked, guint i, const char *label, uint64_t value)
{
	ASSERT_STRING(g_array_index(ranked, struct ranked, i).label, label);
	ASSERT_INT(g_array_index(ranked, struct ranked, i).values[0], value);
}

static void sums_beyond_the_largest_are_one(void)
{
	struct ranking *ranking = ranking_new();
	static const char *const labels[] = { "d", "a", "c", "b", "a", NULL };
	GArray *largest;
	uint64_t value = 1;

	for (const char *const *label = labels; *label; label++, value++)
		ranking_add(ranking, *label, (const uint64_t[RANKED_VALUES]){ value, 1, 0 });
	largest = ranking_largest(ranking, 2);
	ASSERT_INT(largest->len, 3);
	assert_ranked(largest, 0, "a", 7);
	assert_ranked(largest, 1, "b", 4);
	assert_ranked(largest, 2, RANKED_OTHERS, 4);
	ASSERT_INT(g_array_index(largest, struct ranked, 2).values[1], 2);
	g_array_unref(largest);
	/* Which ones they are the values say, their order the labels. */
	ranking_add(ranking, "d", (const uint64_t[RANKED_VALUES]){ 8, 1, 0 });
	largest = ranking_largest(ranking, 4);
	ASSERT_INT(largest->len, 4);
	assert_ranked(largest, 0, "a", 7);
	assert_ranked(largest, 1, "b", 4);
	assert_ranked(largest, 2, "c", 3);
	assert_ranked(largest, 3, "d", 9);
	g_array_unref(largest);
	ranking_free(ranking);
}

static void without_segments_there_are_families(void)
{
	g_autofree char *text = NULL;

	recorded_drop(&tree, "objects/first");
	text = metrics_text();
	ASSERT_INT(occurrences(text, "shmtree_segment_openers"), 2);
	CU_ASSERT(g_str_has_suffix(text, "\n# EOF\n"));
}

static bool give_up_capabilities(const void *data)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	(void)data;
	return syscall(SYS_capset, &header, none) == 0;
}

/* As a caller sees it that has no rights but those of an owner. */
static char *graph_text(void)
{
	struct caller caller = { .uid = geteuid(), .gid = getegid() };
	GString *text = g_string_new(NULL);
	struct view_rows rows;
	int keep;

	caller.pid = start_changed(give_up_capabilities, NULL, &keep);
	ASSERT_INT(dot_take(&realm, &caller, NULL, &rows), 0);
	for (size_t row = 0; row < rows.n; row++)
		rows.format(rows.snapshot, row, text);
	rows.free(rows.snapshot);
	close(keep);
	ASSERT_INT(waitpid(caller.pid, NULL, 0), caller.pid);
	return g_string_free(text, FALSE);
}

#define LEGEND                                                                                     \
	"// A box is a segment, or several alike; an ellipse a process, or several of one "        \
	"program.\n"                                                                               \
	"// Solid: mappings; dashed: descriptors alone; with the number of either.\n"
#define BEGIN                                                                                      \
	"digraph shmtree {\n\trankdir=LR;\n\tranksep=1.5;\n"                                       \
	"\tnode [shape=box,style=filled,fontname=\"sans-serif\",fillcolor=white];\n"               \
	"\tedge [fontname=\"sans-serif\",fontsize=10,color=gray40];\n"

static void one_edge_is_all_that_a_process_has_of_a_segment(void)
{
	g_autofree char *text = NULL;

	user_of("first", 10, 2);
	user_of("first", 11, 0);
	make_visible(10);
	make_visible(11);
	text = graph_text();
	CU_ASSERT(g_str_has_prefix(text, LEGEND BEGIN "\ts0 [fillcolor=lightblue,fontsize="));
	assert_has(text,
		" of 3 bytes\\nmapped\"];\n"
		"\tp10 [shape=ellipse,label=\"10\\nprogram 10\"];\n"
		"\tp11 [shape=ellipse,label=\"11\\nprogram 11\"];\n"
		"\tp10 -> s0 [label=\"1 maps, 2 fds\"];\n"
		"\tp11 -> s0 [label=\"1 maps\"];\n"
		"}\n");
}

static void who_is_not_shown_is_counted(void)
{
	g_autofree char *text = NULL;

	user_of("first", 10, 2);
	user_of("first", 11, 1);
	user_of("first", 12, 3);
	recorded_process(&tree, 13, "this is no maps file\n");
	make_visible(11);
	text = graph_text();
	CU_ASSERT(g_str_has_prefix(text,
		LEGEND "// Processes that could not be read: 1.\n"
		       "// Not shown: 2 processes, 2 mappings, 5 descriptors.\n" BEGIN));
	assert_has(text,
		"\thidden [shape=plaintext,label=\"processes not shown: 2\"];\n"
		"\tp11 [shape=ellipse,label=\"11\\nprogram 11\"];\n"
		"\thidden -> s0 [label=\"2 maps, 5 fds\"];\n"
		"\tp11 -> s0 [label=\"1 maps, 1 fds\"];\n"
		"}\n");
}

static void all_that_is_idle_is_one_node(void)
{
	g_autofree char *text = NULL;

	recorded_file(&tree, "objects/second", "defgh");
	recorded_process(&tree, 10, "00400000-00401000 r-xp 00000000 fe:00 7 /bin/x\n");
	text = graph_text();
	assert_has(text, "label=\"idle × 2\\n");
	assert_has(text, " of 8 bytes\"];\n}\n");
	ASSERT_INT(occurrences(text, "\ts"), 1);
}

static uint64_t allocated(const char *object)
{
	struct stat st;

	CU_ASSERT_FATAL(fstatat(realm.shm_fd, object, &st, 0) == 0);
	return st.st_blocks * 512;
}

static void segments_that_are_alike_are_one_node(void)
{
	g_autofree char *text = NULL, *memory = NULL, *label = NULL;

	recorded_file(&tree, "objects/psm_12ab", "12");
	recorded_file(&tree, "objects/psm_9f", "345");
	recorded_file(&tree, "objects/psm_7", "6");
	memory =
		g_format_size_full(allocated("psm_12ab") + allocated("psm_9f") + allocated("psm_7"),
			G_FORMAT_SIZE_IEC_UNITS);
	label = g_strdup_printf("psm_* × 3\\n%s of 6 bytes", memory);
	user_of("psm_12ab", 10, 0);
	user_of("psm_7", 12, 1);
	user_of("psm_9f", 11, 0);
	text = graph_text();
	/* All three have but the node of what is not shown. */
	assert_has(text, "label=\"posix\\npsm_* × 3\\n");
	assert_has(text, " of 6 bytes\\nmapped\"];\n");
	assert_has(text, label);
	assert_has(text, " [label=\"3 maps, 1 fds\"];\n");
	make_visible(10);
	g_free(g_steal_pointer(&text));
	text = graph_text();
	assert_has(text, "label=\"posix\\npsm_* × 2\\n");
	assert_has(text, "label=\"posix\\npsm_12ab\\n");
}

static void many_processes_of_one_program_are_one_node(void)
{
	g_autofree char *text = NULL;

	for (pid_t pid = 100; pid < 141; pid++) {
		g_autofree char *path = g_strdup_printf("%d", pid);

		user_of("first", pid, 0);
		make_visible(pid);
		recorded_task(&tree, path, pid == 120 ? "other" : "same", 'S', 0, 1000 + pid, 5000);
	}
	text = graph_text();
	assert_has(text, "\tp100 [shape=ellipse,label=\"same × 40\"];\n");
	assert_has(text, "\tp120 [shape=ellipse,label=\"120\\nother\"];\n");
	assert_has(text, "\tp100 -> s0 [label=\"40 maps\"];\n");
}

static void a_line_of_meminfo_is_found_by_its_whole_name(void)
{
	static const char text[] = "MemTotal: 100 kB\nShmemHugePages: 5 kB\nShmemX 9 kB\n"
				   "Swap: much kB\nShmem:    7 kB\nLast: 3 kB";
	uint64_t bytes = 0;

	CU_ASSERT_TRUE(memory_parse_meminfo(text, "Shmem", &bytes));
	ASSERT_INT(bytes, 7 * 1024);
	CU_ASSERT_TRUE(memory_parse_meminfo(text, "MemTotal", &bytes));
	ASSERT_INT(bytes, 100 * 1024);
	CU_ASSERT_TRUE(memory_parse_meminfo(text, "Last", &bytes));
	ASSERT_INT(bytes, 3 * 1024);
	CU_ASSERT_FALSE(memory_parse_meminfo(text, "Swap", &bytes));
	CU_ASSERT_FALSE(memory_parse_meminfo(text, "ShmemX", &bytes));
	CU_ASSERT_FALSE(memory_parse_meminfo("", "Shmem", &bytes));
}

static int grant_nothing(void *data, size_t bytes)
{
	(void)data, (void)bytes;
	return -ENOMEM;
}

static void rows_beyond_the_budget_fail_the_table(void)
{
	struct budget budget = { .more = grant_nothing };
	const struct segment_key key = { .dev = tree.dev,
		.ino = inode("first"),
		.class = SEGMENT_FILE };
	const struct item item = { .key = key };
	struct view view = { .realm = &realm,
		.item = &item,
		.caller = { .uid = geteuid(), .pid = getpid() },
		.budget = &budget };
	struct segment_users *users;

	user_of("first", 7, 1);
	CU_ASSERT_FATAL(census_hold(census, BOTH) == 0);
	users = segment_users_take(&view, USERS_MAPPERS);
	census_release(census);
	ASSERT_INT(segment_users_complete(users), -ENOMEM);
	segment_users_free(users);
}

static CU_TestInfo tests[] = {
	{ "rows beyond the budget fail the table", rows_beyond_the_budget_fail_the_table },
	{ "a line of meminfo is found by its whole name",
		a_line_of_meminfo_is_found_by_its_whole_name },
	{ "samples of a family stand together", samples_of_a_family_stand_together },
	{ "sums by kind, state, user; and the census", sums_by_kind_state_user_and_the_census },
	{ "as many segments as wanted are told one by one",
		as_many_segments_as_wanted_are_told_one_by_one },
	{ "sums beyond the largest are one", sums_beyond_the_largest_are_one },
	{ "what is not known has no sample", what_is_not_known_has_no_sample },
	{ "without segments there are families", without_segments_there_are_families },
	{ "one edge is all that a process has of a segment",
		one_edge_is_all_that_a_process_has_of_a_segment },
	{ "who is not shown is counted", who_is_not_shown_is_counted },
	{ "all that is idle is one node", all_that_is_idle_is_one_node },
	{ "segments that are alike are one node", segments_that_are_alike_are_one_node },
	{ "many processes of one program are one node",
		many_processes_of_one_program_are_one_node },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo views_suite = { "views", NULL, NULL, setup, teardown, tests };

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/counts/spaces.h"

#include "unit.h"

#include <inttypes.h>
#include <string.h>

static struct spaces *spaces;

static void setup(void)
{
	spaces = spaces_new();
}

static void teardown(void)
{
	spaces_free(spaces);
}

static const struct segment_key a = { .dev = 1, .ino = 1 }, b = { .dev = 1, .ino = 2 };

static struct mapping mapping(const struct segment_key *key, uint64_t start)
{
	return (struct mapping){
		.segment = spaces_segment(spaces, key),
		.start = start,
		.end = start + 1,
		.perms = "rw-s",
	};
}

static void assert_usage(const struct segment_key *key, unsigned mappings, unsigned processes,
	unsigned openers)
{
	const struct segment *segment = spaces_find(spaces, key);

	CU_ASSERT_PTR_NOT_NULL(segment);
	if (!segment)
		return;
	ASSERT_INT(segment->usage.mappings, mappings);
	ASSERT_INT(segment->usage.processes, processes);
	ASSERT_INT(segment->usage.openers, openers);
}

static struct space *see(pid_t pid, size_t n, const struct mapping *rows)
{
	struct space *space = spaces_see(spaces, pid, 100);

	space_set_mappings(spaces, space, rows, n);
	return space;
}

static void sums_follow_the_rows(void)
{
	spaces_begin(spaces);
	struct space *space =
		see(1, 3, (struct mapping[]){ mapping(&a, 1), mapping(&b, 2), mapping(&a, 3) });
	see(2, 1, (struct mapping[]){ mapping(&a, 1) });
	struct descriptor fds[] = { { spaces_segment(spaces, &a), 3, 0 } };
	CU_ASSERT(space_set_descriptors(spaces, space, fds, 1));
	spaces_end(spaces);
	assert_usage(&a, 3, 2, 1);
	assert_usage(&b, 1, 1, 0);

	spaces_begin(spaces);
	see(1, 1, (struct mapping[]){ mapping(&b, 2) });
	see(2, 1, (struct mapping[]){ mapping(&a, 1) });
	spaces_end(spaces);
	assert_usage(&a, 1, 1, 1);
	assert_usage(&b, 1, 1, 0);
}

static void equal_rows_are_no_change(void)
{
	spaces_begin(spaces);
	struct mapping rows[] = { mapping(&a, 1), mapping(&b, 2) };
	struct space *space = see(1, 2, rows);
	CU_ASSERT_FALSE(space_set_mappings(spaces, space, rows, 2));
	rows[1].offset = 4096;
	CU_ASSERT(space_set_mappings(spaces, space, rows, 2));
	CU_ASSERT(space_set_mappings(spaces, space, rows, 1));
	CU_ASSERT_FALSE(space_set_descriptors(spaces, space, NULL, 0));
	spaces_end(spaces);
}

static void who_is_not_seen_is_dropped(void)
{
	spaces_begin(spaces);
	see(1, 1, (struct mapping[]){ mapping(&a, 1) });
	see(2, 1, (struct mapping[]){ mapping(&b, 1) });
	spaces_end(spaces);
	CU_ASSERT_PTR_NOT_NULL(spaces_lookup(spaces, 2));

	spaces_begin(spaces);
	spaces_see(spaces, 1, 100);
	spaces_end(spaces);
	CU_ASSERT_PTR_NOT_NULL(spaces_lookup(spaces, 1));
	assert_usage(&a, 1, 1, 0);
	CU_ASSERT_PTR_NULL(spaces_find(spaces, &b));
	CU_ASSERT_PTR_NULL(spaces_lookup(spaces, 2));
}

static void a_pid_used_anew_is_another_process(void)
{
	spaces_begin(spaces);
	struct space *space = see(1, 1, (struct mapping[]){ mapping(&a, 1) });
	space->backend_data[0] = 7;
	space_share_mappings(spaces, space, true);
	spaces_end(spaces);

	spaces_begin(spaces);
	space = spaces_see(spaces, 1, 101);
	ASSERT_INT(space->n_mappings, 0);
	ASSERT_INT(space->backend_data[0], 0);
	CU_ASSERT_FALSE(space->shares_mappings);
	spaces_end(spaces);
	CU_ASSERT_PTR_NULL(spaces_find(spaces, &a));
}

static void shared_rows_count_once(void)
{
	spaces_begin(spaces);
	struct mapping rows[] = { mapping(&a, 1), mapping(&a, 2) };
	see(1, 2, rows);
	struct space *space = see(2, 2, rows);
	struct descriptor fds[] = { { spaces_segment(spaces, &a), 3, 0 } };
	space_set_descriptors(spaces, space, fds, 1);
	space_share_mappings(spaces, space, true);
	assert_usage(&a, 2, 1, 1);
	space_set_mappings(spaces, space, rows, 1);
	assert_usage(&a, 2, 1, 1);
	space_share_descriptors(spaces, space, true);
	assert_usage(&a, 2, 1, 0);
	space_share_mappings(spaces, space, false);
	space_share_descriptors(spaces, space, false);
	assert_usage(&a, 3, 2, 1);
	spaces_end(spaces);
}

static void a_segment_without_rows_is_dropped(void)
{
	spaces_begin(spaces);
	struct segment *segment = spaces_segment(spaces, &a);
	CU_ASSERT_PTR_EQUAL(spaces_segment(spaces, &a), segment);
	spaces_end(spaces);
	CU_ASSERT_PTR_NULL(spaces_find(spaces, &a));
}

struct seen {
	GString *text;
	int limit; /* rows after which to stop */
};

static bool note(const struct space *space, const struct mapping *row, void *data)
{
	struct seen *seen = data;

	g_string_append_printf(seen->text, "%d:%" PRIu64 " ", space->pid, row->start);
	return --seen->limit != 0;
}

static char *rows_of(const struct segment_key *key, int limit)
{
	struct seen seen = { g_string_new(NULL), limit };

	spaces_each_mapping(spaces, spaces_find(spaces, key), note, &seen);
	return g_string_free(seen.text, FALSE);
}

static void assert_rows(const struct segment_key *key, int limit, const char *expected)
{
	g_autofree char *rows = rows_of(key, limit);

	ASSERT_STRING(rows, expected);
}

static void rows_come_by_pid_and_address_with_and_without_index(void)
{
	spaces_begin(spaces);
	see(9, 2, (struct mapping[]){ mapping(&a, 4), mapping(&a, 6) });
	see(3, 3, (struct mapping[]){ mapping(&a, 1), mapping(&b, 2), mapping(&a, 3) });
	space_share_mappings(spaces, see(5, 1, (struct mapping[]){ mapping(&a, 1) }), true);
	spaces_end(spaces);
	for (int question = 0; question < 3; question++) {
		assert_rows(&a, 0, "3:1 3:3 9:4 9:6 ");
		assert_rows(&a, 3, "3:1 3:3 9:4 ");
		assert_rows(&b, 0, "3:2 ");
	}
	spaces_begin(spaces);
	spaces_see(spaces, 9, 100);
	see(3, 1, (struct mapping[]){ mapping(&b, 2) });
	spaces_end(spaces);
	for (int question = 0; question < 2; question++) {
		assert_rows(&a, 0, "9:4 9:6 ");
		assert_rows(&b, 0, "3:2 ");
	}
}

/* A segment of so many that an index of them is not worth its memory; that of the others is whole. */
static void a_large_segment_has_no_index(void)
{
	enum { LARGE = 5000 };
	g_autofree struct mapping *rows = g_new(struct mapping, LARGE + 2);

	spaces_begin(spaces);
	rows[0] = mapping(&b, 1);
	for (int i = 0; i < LARGE; i++)
		rows[i + 1] = mapping(&a, i + 2);
	rows[LARGE + 1] = mapping(&b, LARGE + 2);
	see(3, LARGE + 2, rows);
	see(4, 1, (struct mapping[]){ mapping(&b, 7) });
	spaces_end(spaces);
	for (int question = 0; question < 3; question++) {
		assert_rows(&a, 2, "3:2 3:3 ");
		assert_rows(&b, 0, "3:1 3:5002 4:7 ");
	}
}

/* Whatever the values are, and in however many files the rows are. */
static void rows_are_got_as_they_were_set(void)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(2);
	struct mapping rows[100], got;
	struct packed_mappings packed, other;
	size_t at = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		rows[i] = (struct mapping){
			.segment =
				(struct segment *)(uintptr_t)(8 * g_rand_int_range(random, 1, 40)),
			.start = (uint64_t)g_rand_int(random) << g_rand_int_range(random, 0, 33),
			.offset = (uint64_t)g_rand_int(random) << g_rand_int_range(random, 0, 33),
			.file = g_rand_int_range(random, 0, 3),
		};
		rows[i].end = rows[i].start + ((uint64_t)g_rand_int(random) << (i % 33));
		for (unsigned p = 0; p < 4; p++)
			rows[i].perms[p] = g_rand_boolean(random) ? "rwxs"[p] : "---p"[p];
	}
	packed = packed_mappings_make(rows, G_N_ELEMENTS(rows));
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		packed_mappings_get(&packed, &at, &got);
		CU_ASSERT(memcmp(&got, &rows[i], sizeof got) == 0);
	}
	other = packed_mappings_make(rows, G_N_ELEMENTS(rows));
	CU_ASSERT(packed_mappings_equal(&packed, &other));
	packed_mappings_clear(&other);
	rows[99].file ^= 4;
	other = packed_mappings_make(rows, G_N_ELEMENTS(rows));
	CU_ASSERT(!packed_mappings_equal(&packed, &other));
	packed_mappings_clear(&other);
	packed_mappings_clear(&packed);
}

/* Where a process ends or begins that has no rows, the others are found all the same. */
static void the_index_follows_the_order(void)
{
	spaces_begin(spaces);
	see(9, 1, (struct mapping[]){ mapping(&a, 4) });
	spaces_see(spaces, 5, 100);
	spaces_end(spaces);
	for (int question = 0; question < 2; question++)
		assert_rows(&a, 0, "9:4 ");
	spaces_begin(spaces);
	spaces_see(spaces, 9, 100);
	spaces_end(spaces);
	assert_rows(&a, 0, "9:4 ");
	spaces_begin(spaces);
	spaces_see(spaces, 9, 100);
	spaces_see(spaces, 3, 100);
	spaces_end(spaces);
	for (int question = 0; question < 2; question++)
		assert_rows(&a, 0, "9:4 ");
}

/* The sums of the table against sums made anew from all rows. */
enum { PIDS = 12, SEGMENTS = 5 };

static void assert_sums_agree(void)
{
	struct usage expected[SEGMENTS] = { 0 };

	for (pid_t pid = 1; pid <= PIDS; pid++) {
		const struct space *space = spaces_lookup(spaces, pid);
		bool met[SEGMENTS] = { 0 };
		size_t at = 0;

		for (size_t i = 0; space && !space->shares_mappings && i < space->n_mappings; i++) {
			uint64_t ino = packed_mappings_segment(&space->mappings, &at)->key.ino;

			expected[ino].mappings++;
			expected[ino].processes += !met[ino];
			met[ino] = true;
		}
	}
	for (uint64_t ino = 0; ino < SEGMENTS; ino++) {
		struct segment_key key = { .dev = 2, .ino = ino };
		const struct segment *segment = spaces_find(spaces, &key);

		ASSERT_INT(segment ? segment->usage.mappings : 0, expected[ino].mappings);
		ASSERT_INT(segment ? segment->usage.processes : 0, expected[ino].processes);
	}
}

static void sums_agree_after_any_changes(void)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (int pass = 0; pass < 2000; pass++) {
		spaces_begin(spaces);
		for (pid_t pid = 1; pid <= PIDS; pid++) {
			struct mapping rows[8];
			size_t n = g_rand_int_range(random, 0, 9);
			struct space *space;

			if (g_rand_int_range(random, 0, 4) == 0)
				continue;
			space = spaces_see(spaces, pid, 100 + g_rand_int_range(random, 0, 8) / 7);
			for (size_t i = 0; i < n; i++) {
				struct segment_key key = {
					.dev = 2,
					.ino = g_rand_int_range(random, 0, SEGMENTS),
				};

				rows[i] = mapping(&key, i);
			}
			if (g_rand_boolean(random))
				space_set_mappings(spaces, space, rows, n);
			space_share_mappings(spaces, space, g_rand_int_range(random, 0, 5) == 0);
		}
		spaces_end(spaces);
		assert_sums_agree();
	}
}

static guint count_files(const struct segment *segment)
{
	g_autoptr(GArray) files = spaces_files(spaces, segment);

	CU_ASSERT(files->len > 0 && spaces_has_file(files, g_array_index(files, uint64_t, 0)));
	CU_ASSERT(!spaces_has_file(files, 1));
	return files->len;
}

static void what_a_daemon_serves_is_no_opener(void)
{
	const struct segment_key key = { .dev = 2, .ino = 1 };
	struct descriptor row = { .fd = 3, .file = 77 };
	struct space *daemon, *user;
	const struct segment *segment;

	spaces_begin(spaces);
	row.segment = spaces_segment(spaces, &key);
	daemon = spaces_see(spaces, 10, 1);
	user = spaces_see(spaces, 11, 1);
	space_set_descriptors(spaces, daemon, &row, 1);
	space_set_descriptors(spaces, user, &row, 1);
	space_serve(spaces, daemon);
	space_serve(spaces, daemon);
	spaces_end(spaces);
	segment = spaces_find(spaces, &key);
	ASSERT_INT(segment->usage.openers, 1);
	row.file = 78;
	space_set_descriptors(spaces, daemon, &row, 1);
	ASSERT_INT(segment->usage.openers, 1);
	ASSERT_INT(count_files(segment), 2);
	spaces_serve_none(spaces);
	ASSERT_INT(segment->usage.openers, 2);
	space_serve(spaces, daemon);
	spaces_begin(spaces);
	spaces_see(spaces, 11, 1);
	spaces_end(spaces);
	ASSERT_INT(segment->usage.openers, 1);
	ASSERT_INT(count_files(segment), 1);
}

static void count_server(const struct space *space, void *data)
{
	unsigned *n = data;

	(void)space;
	++*n;
}

static unsigned servers(void)
{
	unsigned n = 0;

	spaces_each_server(spaces, count_server, &n);
	return n;
}

static void descriptors_of_who_serves_do_not_count(void)
{
	struct space *first, *second;
	struct descriptor fd = { 0 };

	spaces_begin(spaces);
	first = see(1, 1, (struct mapping[]){ mapping(&a, 1) });
	second = see(2, 0, NULL);
	fd = (struct descriptor){ spaces_segment(spaces, &a), 3, 0 };
	space_set_descriptors(spaces, first, &fd, 1);
	space_set_descriptors(spaces, second, &fd, 1);
	spaces_end(spaces);
	assert_usage(&a, 1, 1, 2);
	space_serve(spaces, first);
	space_serve(spaces, first);
	assert_usage(&a, 1, 1, 1);
	ASSERT_INT(servers(), 1);
	spaces_serve_none(spaces);
	assert_usage(&a, 1, 1, 2);
	ASSERT_INT(servers(), 0);
	/* Who has ended serves no more. */
	space_serve(spaces, first);
	space_serve(spaces, second);
	spaces_begin(spaces);
	second = see(2, 0, NULL);
	space_set_descriptors(spaces, second, &fd, 1);
	spaces_end(spaces);
	ASSERT_INT(servers(), 1);
	assert_usage(&a, 0, 0, 0);
}

static CU_TestInfo tests[] = {
	{ "descriptors of who serves do not count", descriptors_of_who_serves_do_not_count },
	{ "sums follow the rows", sums_follow_the_rows },
	{ "equal rows are no change", equal_rows_are_no_change },
	{ "who is not seen is dropped", who_is_not_seen_is_dropped },
	{ "a pid used anew is another process", a_pid_used_anew_is_another_process },
	{ "shared rows count once", shared_rows_count_once },
	{ "a segment without rows is dropped", a_segment_without_rows_is_dropped },
	{ "rows are got as they were set", rows_are_got_as_they_were_set },
	{ "the index follows the order", the_index_follows_the_order },
	{ "rows come by pid and address, with and without the index",
		rows_come_by_pid_and_address_with_and_without_index },
	{ "a large segment has no index", a_large_segment_has_no_index },
	{ "what a daemon serves is no opener", what_a_daemon_serves_is_no_opener },
	{ "sums agree after any changes", sums_agree_after_any_changes },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo spaces_suite = { "spaces", NULL, NULL, setup, teardown, tests };

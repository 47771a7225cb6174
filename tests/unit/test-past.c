/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of passes that are over. */
#include "census/counts/past.h"
#include "census/counts/spaces.h"

#include "unit.h"

#include <malloc.h>
#include <string.h>

static struct past *past;
static const struct segment_key a = { .dev = 1, .ino = 1 }, b = { .dev = 1, .ino = 2 };

static void setup(void)
{
	past = past_new();
}

static void teardown(void)
{
	past_free(past);
}

static past_time since(const struct segment_key *key, past_time after)
{
	return past_idle_since(past, key, after, false, NULL);
}

static void idle_since_the_first_pass_after_the_last_use(void)
{
	bool passed;

	ASSERT_INT(past_idle_since(past, &a, 5, false, &passed), 5);
	CU_ASSERT_FALSE(passed);
	past_note_pass(past, 10);
	past_note_pass(past, 20);
	past_note_pass(past, 30);
	ASSERT_INT(past_idle_since(past, &a, 5, false, &passed), 10);
	CU_ASSERT(passed);
	ASSERT_INT(since(&a, 10), 20); /* it changed as that pass ended */
	past_note_use(past, &a, 20);
	ASSERT_INT(since(&a, 5), 30);
	ASSERT_INT(since(&b, 5), 10);
	past_note_use(past, &a, 15);
	ASSERT_INT(since(&a, 5), 30);
	past_note_use(past, &a, 31);
	ASSERT_INT(past_idle_since(past, &a, 5, false, &passed), 31);
	CU_ASSERT_FALSE(passed);
}

static void what_the_kernel_tells_exactly(void)
{
	past_note_pass(past, 10);
	past_note_pass(past, 20);
	ASSERT_INT(past_idle_since(past, &a, 5, true, NULL), 5);
	past_note_use(past, &a, 4);
	ASSERT_INT(past_idle_since(past, &a, 5, true, NULL), 5);
	past_note_use(past, &a, 15);
	ASSERT_INT(past_idle_since(past, &a, 5, true, NULL), 20);
}

static void what_no_pass_looks_at(void)
{
	ASSERT_INT(past_found_idle(past, &a, 5, 10), 10);
	ASSERT_INT(past_found_idle(past, &a, 5, 20), 10);
	past_note_use(past, &a, 30);
	ASSERT_INT(past_found_idle(past, &a, 5, 40), 40);
	ASSERT_INT(past_found_idle(past, &a, 45, 50), 50);
	ASSERT_INT(past_found_idle(past, &b, 45, 50), 50);
}

static void what_was_lost_makes_it_later(void)
{
	past_note_pass(past, 10);
	past_note_pass(past, 20);
	past_forget(past, 15);
	ASSERT_INT(since(&a, 5), 20);
}

static void a_clock_that_was_set_back(void)
{
	past_note_pass(past, 10);
	past_note_pass(past, 1000);
	past_note_pass(past, 20);
	ASSERT_INT(since(&a, 5), 10);
	ASSERT_INT(since(&a, 15), 20);
	ASSERT_INT(since(&a, 25), 25);
}

static void the_last_user(void)
{
	struct past_user user = { .pid = 7, .born = 70, .uid = 1, .command = "one" }, found;
	past_time when;

	CU_ASSERT_FALSE(past_last_user(past, &a, &found, &when));
	past_note_use(past, &a, 5);
	CU_ASSERT_FALSE(past_last_user(past, &a, &found, &when));
	user.unit = g_ref_string_new("unit");
	past_note_user(past, &a, &user, 10, true);
	g_ref_string_release(user.unit);
	user.unit = NULL;
	CU_ASSERT_FATAL(past_last_user(past, &a, &found, &when));
	ASSERT_INT(found.pid, 7);
	ASSERT_INT(when, 10);
	ASSERT_STRING(found.unit, "unit");
	g_ref_string_release(found.unit);
	past_note_pass(past, 11);
	ASSERT_INT(since(&a, 0), 11);
	user.pid = 8;
	past_note_user(past, &a, &user, 20, false);
	CU_ASSERT_FATAL(past_last_user(past, &a, &found, &when));
	ASSERT_INT(found.pid, 8);
	CU_ASSERT_PTR_NULL(found.unit);
	ASSERT_INT(since(&a, 0), 11);
}

/* What is forgotten may have been used as late as anything that was. */
static void its_memory_is_bounded(void)
{
	const struct past_user user = { .pid = 1 };
	struct past_user found;
	past_time when;

	for (uint64_t i = 1; i <= PAST_SEGMENTS + 2; i++) {
		const struct segment_key key = { .dev = 1, .ino = i };

		past_note_user(past, &key, &user, i, true);
	}
	CU_ASSERT_FALSE(past_last_user(past, &b, &found, &when));
	CU_ASSERT(past_last_user(past, &(struct segment_key){ .dev = 1, .ino = 3 }, &found, &when));
	past_note_pass(past, 2);
	past_note_pass(past, 3);
	ASSERT_INT(since(&a, 0), 3);
}

/* Bytes that are allocated; 0 where that cannot be told, as under a sanitizer. */
static size_t allocated(void)
{
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
#else
	return 0;
#endif
}

/* Ages stay right within a part of themselves. */
static void many_passes(void)
{
	size_t before = allocated();
	past_time after, found;

	for (past_time when = 1; when <= 10 * PAST_PASSES; when++)
		past_note_pass(past, when);
	CU_ASSERT(allocated() <= before + 4 * PAST_PASSES * sizeof after);
	ASSERT_INT(since(&a, 10 * PAST_PASSES - 100), 10 * PAST_PASSES - 99);
	for (after = 0; after < 10 * PAST_PASSES; after += 1000) {
		found = since(&a, after);
		CU_ASSERT(found > after);
		CU_ASSERT(found - after <= 1 + (10 * PAST_PASSES - after) / 64);
	}
}

struct gone {
	unsigned count;
	struct segment_key key;
	pid_t pid;
	bool mapped;
};

static void take(const struct segment_key *key, const struct past_user *user, bool mapped,
	void *data)
{
	struct gone *gone = data;

	gone->count++;
	gone->key = *key;
	gone->pid = user->pid;
	gone->mapped = mapped;
}

static void see(struct spaces *spaces, pid_t pid, bool maps, bool holds)
{
	struct mapping row = { .segment = spaces_segment(spaces, &a), .end = 1 };
	struct descriptor descriptor = { row.segment, 3, 0, 0 };
	struct space *space = spaces_see(spaces, pid, 100);

	space_set_mappings(spaces, space, &row, maps);
	space_set_descriptors(spaces, space, &descriptor, holds);
}

static void whoever_had_the_last_row(void)
{
	struct spaces *spaces = spaces_new();
	struct gone gone = { 0 };

	spaces_begin(spaces);
	see(spaces, 1, true, true);
	see(spaces, 2, true, false);
	spaces_segment(spaces, &b); /* no row comes to use it */
	spaces_end(spaces);
	spaces_take_gone(spaces, take, &gone);
	ASSERT_INT(gone.count, 0);
	spaces_begin(spaces);
	see(spaces, 2, false, true);
	spaces_end(spaces);
	spaces_take_gone(spaces, take, &gone);
	ASSERT_INT(gone.count, 0);
	spaces_begin(spaces);
	spaces_end(spaces);
	spaces_take_gone(spaces, take, &gone);
	ASSERT_INT(gone.count, 1);
	ASSERT_INT(gone.pid, 2);
	CU_ASSERT_FALSE(gone.mapped);
	CU_ASSERT(segment_key_equal(&gone.key, &a));
	spaces_take_gone(spaces, take, &gone);
	ASSERT_INT(gone.count, 1);
	spaces_free(spaces);
}

static CU_TestInfo tests[] = {
	{ "idle since the first pass after the last use",
		idle_since_the_first_pass_after_the_last_use },
	{ "what the kernel tells exactly", what_the_kernel_tells_exactly },
	{ "what no pass looks at", what_no_pass_looks_at },
	{ "what was lost makes it later", what_was_lost_makes_it_later },
	{ "a clock that was set back", a_clock_that_was_set_back },
	{ "the last user", the_last_user },
	{ "its memory is bounded", its_memory_is_bounded },
	{ "many passes", many_passes },
	{ "who had the last row was the last user", whoever_had_the_last_row },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo past_suite = { "past", NULL, NULL, setup, teardown, tests };

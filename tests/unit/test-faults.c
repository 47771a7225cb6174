/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bus errors: the self-test, the walk to a mapping, and who truncated a segment. */
#include "base/memfd.h"
#include "base/util.h"
#include "faults/self-test.h"
#include "faults/truncations.h"

#include "unit.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The kernel is the same; what is expected is wrong, in one case after the other. */
static void a_kernel_that_is_seen_otherwise_is_noticed(void)
{
	struct fault_programs *programs;
	const char *why = NULL;

	if (fault_programs_load(&programs, &why) < 0)
		SKIP("%s", why);
	ASSERT_INT(fault_self_test(programs, FAULT_CASE_NONE, &why), 0);
	for (enum fault_case at = FAULT_CASE_NONE + 1; at < FAULT_CASES; at++) {
		why = NULL;
		ASSERT_INT(fault_self_test(programs, at, &why), -ENOTSUP);
		CU_ASSERT_PTR_NOT_NULL_FATAL(why);
		CU_ASSERT(g_str_has_prefix(why, "self-test: "));
	}
	fault_programs_free(programs);
}

#define MANY 3000

/*
 * In a tree of mappings of several levels, whose nodes were split and joined: each page of one file
 * is a mapping of its own, and of every third nothing is left.
 */
static void a_mapping_is_found_among_many(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct fault_programs *programs;
	struct seen_fault seen;
	const char *why = NULL;
	char *at;

	if (fault_programs_load(&programs, &why) < 0)
		SKIP("%s", why);
	auto_fd fd = memfd_new(0);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, page) == 0);
	at = mmap(NULL, MANY * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(at != MAP_FAILED);
	for (size_t i = 0; i < MANY; i++)
		CU_ASSERT_FATAL(mmap(at + i * page, page, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
					0) != MAP_FAILED);
	for (size_t i = 0; i < MANY; i += 3)
		munmap(at + i * page, page);
	for (size_t i = 0; i < MANY; i++) {
		int r = fault_programs_try(programs, at + i * page + 1, &seen);

		ASSERT_INT(r, i % 3 != 0);
		if (r == 1)
			ASSERT_INT(seen.offset, 1);
	}
	munmap(at, MANY * page);
	fault_programs_free(programs);
}

static const struct segment_key key = { .dev = 1, .ino = 2, .class = SEGMENT_FILE };

static bool last(struct truncations *truncations, uint64_t offset, uint64_t size,
	struct truncation *out)
{
	const struct beyond_end at = { truncations_now(), offset, size };

	memset(out, 0, sizeof *out);
	return truncations_last(truncations, &key, &at, out);
}

static void what_took_a_page_away_is_known(void)
{
	struct truncations *truncations = truncations_new("/nonexistent");
	uint64_t page = sysconf(_SC_PAGESIZE);
	struct truncation made = { .pid = 7, .uid = 8, .from = 8 * page, .to = 2 * page }, found;

	CU_ASSERT_FALSE(last(truncations, 4 * page, 2 * page, &found));
	truncations_note(truncations, &key, &made);
	CU_ASSERT_TRUE(last(truncations, 4 * page, 2 * page, &found));
	ASSERT_INT(found.pid, 7);
	ASSERT_INT(found.uid, 8);
	/* It has grown again, but not so far. */
	CU_ASSERT_TRUE(last(truncations, 4 * page, 3 * page, &found));
	/* It left that page; there never was that one; another one made it shorter still. */
	CU_ASSERT_FALSE(last(truncations, page, 2 * page, &found));
	CU_ASSERT_FALSE(last(truncations, 8 * page, 2 * page, &found));
	CU_ASSERT_FALSE(last(truncations, 4 * page, page, &found));
	made.pid = 9;
	truncations_note(truncations, &key, &made);
	CU_ASSERT_TRUE(last(truncations, 7 * page + 5, 2 * page, &found));
	ASSERT_INT(found.pid, 9);
	truncations_free(truncations);
}

static void the_oldest_truncations_are_forgotten(void)
{
	struct truncations *truncations = truncations_new("/nonexistent");
	struct truncation made = { .from = 10 }, found;
	struct segment_key other = key;

	truncations_note(truncations, &key, &made);
	for (unsigned i = 0; i < 1023; i++) {
		other.ino = 100 + i;
		truncations_note(truncations, &other, &made);
	}
	CU_ASSERT_TRUE(last(truncations, 0, 0, &found));
	other.ino = 99;
	truncations_note(truncations, &other, &made);
	CU_ASSERT_FALSE(last(truncations, 0, 0, &found));
	truncations_free(truncations);
}

static void the_process_is_asked_for_at_once(void)
{
	struct truncations *truncations = truncations_new("/proc");
	struct truncation made = { .pid = getpid(), .from = 10 }, found;

	truncations_note(truncations, &key, &made);
	CU_ASSERT_TRUE(last(truncations, 0, 0, &found));
	CU_ASSERT_TRUE(found.identified);
	CU_ASSERT_EQUAL(found.readable, getuid() != 0);
	ASSERT_INT(found.pid, getpid());
	CU_ASSERT_TRUE(found.born > 0);
	CU_ASSERT_TRUE(*found.command);
	/* Of what is not known nobody may read the memory. */
	truncations_free(truncations);
	truncations = truncations_new("/nonexistent");
	made.readable = true;
	truncations_note(truncations, &key, &made);
	CU_ASSERT_TRUE(last(truncations, 0, 0, &found));
	CU_ASSERT_FALSE(found.identified);
	CU_ASSERT_FALSE(found.readable);
	ASSERT_INT(found.born, 0);
	truncations_free(truncations);
}

/* It happened some time between two looks; the bus error at 100, 200 or 300 ns. */
static bool last_at(struct truncations *truncations, int64_t time, uint64_t size,
	struct truncation *out)
{
	const struct beyond_end at = { time, 100, size };

	return truncations_last(truncations, &key, &at, out);
}

static void a_truncation_outside_the_mount_is_known_if_it_was_before(void)
{
	struct truncations *truncations = truncations_new("/nonexistent");
	struct shrink made = {
		.from = 200,
		.to = 10,
		.after = 150,
		.until = 250,
		.process = { .pid = 7, .born = 8, .uid = 9, .command = "me", .unit = "u" },
	};
	struct truncation found;

	truncations_note_outside(truncations, &key, &made);
	CU_ASSERT_FALSE(last_at(truncations, 100, 10, &found));
	CU_ASSERT_TRUE(last_at(truncations, 200, 10, &found));
	ASSERT_INT(found.time, 200);
	CU_ASSERT_FALSE(last_at(truncations, 200, 11, &found));
	CU_ASSERT_TRUE(last_at(truncations, 300, 11, &found));
	ASSERT_INT(found.time, 250);
	CU_ASSERT_FALSE(last_at(truncations, 300, 9, &found));
	CU_ASSERT_FALSE(found.through_mount);
	CU_ASSERT_TRUE(found.identified);
	ASSERT_INT(found.uid, 9);
	ASSERT_STRING(found.command, "me");
	ASSERT_STRING(found.unit, "u");
	/* The later one of both, of those that can have done it. */
	truncations_note(truncations, &key, &(struct truncation){ .pid = 1, .from = 300, .to = 5 });
	CU_ASSERT_TRUE(last(truncations, 100, 10, &found));
	CU_ASSERT_TRUE(found.through_mount);
	CU_ASSERT_TRUE(last_at(truncations, 300, 10, &found));
	CU_ASSERT_FALSE(found.through_mount);
	/* Of a process that was gone when the daemon asked nothing but the number is known. */
	made.process.born = 0;
	truncations_note_outside(truncations, &key, &made);
	CU_ASSERT_TRUE(last_at(truncations, 300, 10, &found));
	CU_ASSERT_FALSE(found.identified);
	ASSERT_INT(found.pid, 7);
	CU_ASSERT(found.uid == NO_UID && !*found.command);
	/* Not known any more. */
	truncations_note_outside(truncations, &key, &(struct shrink){ .inode = key.ino });
	CU_ASSERT_FALSE(last_at(truncations, 300, 10, &found));
	truncations_note_outside(truncations, &key, &made);
	CU_ASSERT_TRUE(last_at(truncations, 300, 10, &found));
	truncations_note_outside(truncations, &key, &(struct shrink){ 0 });
	CU_ASSERT_FALSE(last_at(truncations, 300, 10, &found));
	truncations_free(truncations);
}

static bool one_was_noted(const struct truncations *truncations)
{
	struct pollfd fd = { .fd = truncations_fd(truncations), .events = POLLIN };

	CU_ASSERT_FATAL(fd.fd >= 0);
	return poll(&fd, 1, 0) == 1;
}

static void each_one_that_is_noted_wakes(void)
{
	struct truncations *truncations = truncations_new("/nonexistent");
	const struct truncation made = { .from = 10 };
	const struct shrink other = { .inode = 2, .from = 10, .process = { .pid = 7 } };

	CU_ASSERT_FALSE(one_was_noted(truncations));
	truncations_note(truncations, &key, &made);
	truncations_note_outside(truncations, &key, &other);
	CU_ASSERT_TRUE(one_was_noted(truncations));
	truncations_seen(truncations);
	CU_ASSERT_FALSE(one_was_noted(truncations));
	/* That nothing is known any more wakes nobody. */
	truncations_note_outside(truncations, &key, &(struct shrink){ 0 });
	CU_ASSERT_FALSE(one_was_noted(truncations));
	truncations_note_outside(truncations, &key, &other);
	CU_ASSERT_TRUE(one_was_noted(truncations));
	truncations_free(truncations);
}

static CU_TestInfo tests[] = {
	{ "a kernel that is seen otherwise is noticed",
		a_kernel_that_is_seen_otherwise_is_noticed },
	{ "a mapping is found among many", a_mapping_is_found_among_many },
	{ "what took a page away is known", what_took_a_page_away_is_known },
	{ "the oldest truncations are forgotten", the_oldest_truncations_are_forgotten },
	{ "a truncation outside the mount is known if it was before",
		a_truncation_outside_the_mount_is_known_if_it_was_before },
	{ "each one that is noted wakes", each_one_that_is_noted_wakes },
	{ "the process is asked for at once", the_process_is_asked_for_at_once },
	CU_TEST_INFO_NULL,
};
const CU_SuiteInfo faults_suite = { "faults", .pTests = tests };

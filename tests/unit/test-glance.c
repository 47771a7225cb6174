/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the BPF back end tells without reading anything, and what it tells of those it cannot see. */
#include "census/census.h"

#include "backend.h"
#include "mapper.h"
#include "unit.h"
#include "base/util.h"

#include <sys/mman.h>
#include <sys/stat.h>

/* Other processes of the machine change when they like: what has to come true is waited for. */
#define TRIES 2000

static struct census *census;
static struct segment_key key;
static struct mapper mapper;
static int memfd;

static struct census *open_census(enum census_backend_choice choice)
{
	const char *why;
	struct census *out = backend_open(choice, 0, getpid(), &why);

	if (!out)
		unit_skip("%s", why);
	return out;
}

static void begin(void)
{
	g_autofree char *path = NULL;
	struct stat st;

	census = open_census(CENSUS_BPF);
	if (!census)
		return;
	memfd = memfd_create("glance", MFD_CLOEXEC);
	CU_ASSERT_FATAL(memfd >= 0 && ftruncate(memfd, 4096) == 0 && fstat(memfd, &st) == 0);
	key = (struct segment_key){ .dev = st.st_dev, .ino = st.st_ino, .class = SEGMENT_MEMFD };
	path = g_strdup_printf("/proc/%d/fd/%d", (int)getpid(), memfd);
	mapper_start(&mapper, path, "rw");
}

static void end(void)
{
	census_free(census);
	mapper_end(&mapper);
	close(memfd);
}

static uint64_t held_mappings(void)
{
	uint64_t mappings = census_usage(census, &key).mappings;

	census_release(census);
	return mappings;
}

static uint64_t ask(void)
{
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	return held_mappings();
}

/* Whether it is had at once, sooner or later: each try follows a pass. */
static bool comes_at_once(uint64_t expected)
{
	for (int i = 0; i < TRIES; i++) {
		ASSERT_INT(ask(), expected);
		if (census_hold_at_once(census, CENSUS_MAPPINGS)) {
			ASSERT_INT(held_mappings(), expected);
			return true;
		}
	}
	return false;
}

static void what_has_not_changed_is_had_at_once(void)
{
	mapper_order(&mapper, "map 3");
	CU_ASSERT(comes_at_once(3));
	mapper_order(&mapper, "unmap 1");
	CU_ASSERT(comes_at_once(2));
}

static void what_has_changed_is_not(void)
{
	for (int i = 0; i < 20; i++) {
		ask();
		mapper_order(&mapper, "map 1");
		CU_ASSERT(!census_hold_at_once(census, CENSUS_MAPPINGS));
		ASSERT_INT(ask(), 1 + i);
	}
}

static void nor_is_what_nobody_has_looked_at(void)
{
	struct census *other = open_census(CENSUS_BPF);

	CU_ASSERT_FATAL(other != NULL);
	CU_ASSERT(!census_hold_at_once(other, CENSUS_MAPPINGS));
	census_free(other);
	ask();
	CU_ASSERT(!census_hold_at_once(census, CENSUS_MAPPINGS | CENSUS_DESCRIPTORS));
}

static void who_holds_the_census_is_waited_for(void)
{
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	CU_ASSERT(!census_hold_at_once(census, CENSUS_MAPPINGS));
	census_release(census);
}

static void *ask_often(void *data)
{
	(void)data;
	for (int i = 0; i < 300; i++)
		ask();
	return NULL;
}

static void both_ways_of_asking_get_along(void)
{
	GThread *threads[4];

	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("asks", ask_often, NULL);
	for (int i = 0; i < 3000; i++)
		if (census_hold_at_once(census, CENSUS_MAPPINGS))
			census_release(census);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
}

static uint64_t unreadable(struct census *asked)
{
	uint64_t count;

	ASSERT_INT(census_hold(asked, CENSUS_MAPPINGS), 0);
	count = census_report(asked).unreadable;
	census_release(asked);
	return count;
}

/* A kernel may hide processes from BPF programs: procfs, which lists them, refuses those. */
static void who_is_hidden_cannot_be_read_by_others_either(void)
{
	struct census *text = open_census(CENSUS_TEXT);
	bool same = false;

	for (int i = 0; i < TRIES && !same; i++)
		same = unreadable(census) == unreadable(text);
	CU_ASSERT(same);
	census_free(text);
}

static CU_TestInfo tests[] = {
	{ "what has not changed is had at once", what_has_not_changed_is_had_at_once },
	{ "what has changed is not", what_has_changed_is_not },
	{ "nor is what nobody has looked at", nor_is_what_nobody_has_looked_at },
	{ "who holds the census is waited for", who_holds_the_census_is_waited_for },
	{ "both ways of asking get along", both_ways_of_asking_get_along },
	{ "who is hidden cannot be read by others either",
		who_is_hidden_cannot_be_read_by_others_either },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo glance_suite = { "glance", NULL, NULL, begin, end, tests };

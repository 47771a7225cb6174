/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the object side works is found out when it is first wanted: by a test of the kernel, and again if need be. */
#include "base/attempt.h"

#include "unit.h"

#include <errno.h>

#ifdef HAVE_BPF
#include "base/util.h"
#include "census/object/object-side.h"
#include "census/object/self-test.h"
#include "failing.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>

static bool load_programs(struct object_programs **out)
{
	const char *why = NULL;

	if (object_programs_load(out, &why) == 0)
		return true;
	unit_skip("%s", why);
	return false;
}

static bool has_a_segment_attached(void)
{
	g_autofree char *maps = NULL;

	CU_ASSERT_FATAL(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
	return strstr(maps, "/SYSV") != NULL;
}

/* The kernel is the same; what is expected is wrong, in one case after the other. */
static void a_kernel_that_counts_otherwise_is_noticed(void)
{
	struct object_programs *programs;
	const char *why = NULL;
	bool sysv = false;

	if (!load_programs(&programs))
		return;
	CU_ASSERT(!has_a_segment_attached());
	ASSERT_INT(object_self_test(programs, CASE_NONE, &sysv, &why), 0);
	CU_ASSERT(sysv);
	CU_ASSERT(!has_a_segment_attached());
	for (enum object_case at = CASE_NONE + 1; at < CASES; at++) {
		why = NULL;
		ASSERT_INT(object_self_test(programs, at, &sysv, &why), -ENOTSUP);
		CU_ASSERT_PTR_NOT_NULL_FATAL(why);
		CU_ASSERT(g_str_has_prefix(why, "self-test: "));
	}
	object_programs_free(programs);
}

static void open_object_side(void *data)
{
	struct object_side *side = object_side_new(true, true, NULL);
	bool tried;

	(void)data;
	CU_ASSERT_PTR_NOT_NULL(object_side_get(side, true));
	CU_ASSERT_PTR_NULL(object_side_why_not(side, &tried));
	CU_ASSERT(tried);
	object_side_free(side);
}

/* Others may have a reference to a file of the test for a moment, or there is a lack of something. */
static void what_the_self_test_meets_once_decides_nothing(void)
{
	const struct failing copy_once = { SYS_fcntl, .argument = 2, .value = F_DUPFD_CLOEXEC,
		.times = 1, .result = -EMFILE };
	struct object_programs *programs;

	if (!load_programs(&programs))
		return;
	object_programs_free(programs);
	failing_returns(FAILING(copy_once), open_object_side, NULL);
}

static struct objects *open_without_descriptors(struct object_side *side)
{
	struct rlimit before, none;
	struct objects *objects;

	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	objects = object_side_get(side, true);
	setrlimit(RLIMIT_NOFILE, &before);
	return objects;
}

static void a_lack_of_descriptors_decides_nothing(void)
{
	struct object_side *side = object_side_new(true, true, NULL);
	struct object_programs *programs;
	struct objects *objects = NULL;
	bool tried;

	if (load_programs(&programs)) {
		object_programs_free(programs);
		CU_ASSERT_PTR_NULL(open_without_descriptors(side));
		CU_ASSERT_PTR_NOT_NULL(object_side_why_not(side, &tried));
		CU_ASSERT(!tried);
		for (int i = 0; i < 500 && !objects; i++) {
			g_usleep(10000);
			objects = object_side_get(side, true);
		}
		CU_ASSERT_PTR_NOT_NULL(objects);
		CU_ASSERT_PTR_NULL(object_side_why_not(side, &tried));
		CU_ASSERT(tried);
	}
	object_side_free(side);
}

/* The number of a new segment, which is gone again. */
static int next_segment(void)
{
	int id = shmget(IPC_PRIVATE, 1, 0600);

	shmctl(id, IPC_RMID, NULL);
	return id;
}

#define NO_NAMESPACE -1

/* In an IPC namespace where nobody else makes segments: how many were made meanwhile. */
static gpointer count_segments(gpointer data)
{
	const char *why;
	bool sysv;
	int first, second, last;

	if (unshare(CLONE_NEWIPC) < 0)
		return GINT_TO_POINTER(NO_NAMESPACE);
	first = next_segment();
	second = next_segment();
	if (first < 0 || second <= first)
		return GINT_TO_POINTER(NO_NAMESPACE);
	if (object_self_test(data, CASE_NONE, &sysv, &why) < 0 || !sysv)
		return GINT_TO_POINTER(NO_NAMESPACE);
	last = next_segment();
	return GINT_TO_POINTER((last - second) / (second - first) - 1);
}

static void nobody_sees_the_segment_of_the_self_test(void)
{
	struct object_programs *programs;
	int made;

	if (!load_programs(&programs))
		return;
	made = GPOINTER_TO_INT(g_thread_join(g_thread_new("self", count_segments, programs)));
	if (made == NO_NAMESPACE)
		unit_skip("no IPC namespace, or no segment in one, can be made here");
	else
		ASSERT_INT(made, 0);
	object_programs_free(programs);
}
#else
#define WITHOUT "shmtree was built without BPF"

static void a_kernel_that_counts_otherwise_is_noticed(void)
{
	unit_skip(WITHOUT);
}

static void what_the_self_test_meets_once_decides_nothing(void)
{
	unit_skip(WITHOUT);
}

static void a_lack_of_descriptors_decides_nothing(void)
{
	unit_skip(WITHOUT);
}

static void nobody_sees_the_segment_of_the_self_test(void)
{
	unit_skip(WITHOUT);
}
#endif

static void a_lack_is_not_met_at_each_question(void)
{
	struct attempt attempt = { 0 };
	gint64 before = g_get_monotonic_time();

	CU_ASSERT(attempt_is_due(&attempt));
	attempt_note(&attempt, -ENOMEM);
	CU_ASSERT(!attempt_is_decided(&attempt));
	ASSERT_INT(attempt_result(&attempt), -ENOMEM);
	CU_ASSERT(attempt.again_at >= before + G_USEC_PER_SEC);
	attempt.again_at = G_MAXINT64;
	CU_ASSERT(!attempt_is_due(&attempt));
	attempt.again_at = 0;
	CU_ASSERT(attempt_is_due(&attempt));
	attempt_note(&attempt, -EPERM);
	attempt.again_at = 0;
	CU_ASSERT(attempt_is_decided(&attempt));
	CU_ASSERT(!attempt_is_due(&attempt));
}

static CU_TestInfo tests[] = {
	{ "a kernel that counts otherwise is noticed", a_kernel_that_counts_otherwise_is_noticed },
	{ "what the self-test meets once decides nothing",
		what_the_self_test_meets_once_decides_nothing },
	{ "a lack of descriptors decides nothing", a_lack_of_descriptors_decides_nothing },
	{ "a lack is not met at each question", a_lack_is_not_met_at_each_question },
	{ "nobody sees the segment of the self-test", nobody_sees_the_segment_of_the_self_test },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo object_self_test_suite = { "object_self_test", .pTests = tests };

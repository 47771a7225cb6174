/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens to a caller when the kernel refuses the daemon to act as that caller, or to be itself again. */
#include "caller/effective.h"
#include "caller/rights.h"

#include "base/patience/patience.h"
#include "base/util.h"
#include "failing.h"
#include "unit.h"

#define SOMEBODY 54321

#define NEED_ROOT()                                                                                \
	do {                                                                                       \
		if (geteuid() != 0)                                                                \
			SKIP("only root acts as others");                                          \
	} while (0)

static void take_file_ids(void *data)
{
	(void)data;
	thread_set_file_ids(SOMEBODY, SOMEBODY + 1);
	CU_ASSERT_FALSE(thread_change_file_ids(SOMEBODY, SOMEBODY + 1));
}

/* setfsuid(2) reports failure only by not having happened: memory is short. */
static void file_ids_are_taken_on_or_the_process_ends(void)
{
	NEED_ROOT();
	failing_returns(FAILING({ SYS_setfsuid, .argument = 1, .value = SOMEBODY, .times = 3 }),
		take_file_ids, NULL);
	failing_ends(FAILING({ SYS_setfsuid, .argument = 1, .value = SOMEBODY }),
		"cannot take on user 54321, group 54322", take_file_ids, NULL);
	failing_ends(FAILING({ SYS_setfsgid, .argument = 1, .value = SOMEBODY + 1 }),
		"cannot take on user 54321, group 54322", take_file_ids, NULL);
}

static CU_TestInfo tests[] = {
	{ "file ids are taken on or the process ends", file_ids_are_taken_on_or_the_process_ends },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo caller_refused_suite = { "caller refused", NULL, NULL, NULL, NULL, tests };

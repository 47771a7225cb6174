/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit [SUITE [TEST]]   run all tests, one suite or one test
 * unit -l               list them
 *
 * The last line is `N passed, N failed`, in tests. Exit status 1 if any failed, 2 for bad usage.
 */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE(name) extern const CU_SuiteInfo name##_suite;
#include "suites.h"
#undef SUITE

static const CU_SuiteInfo *const suites[] = {
#define SUITE(name) &name##_suite,
#include "suites.h"
#undef SUITE
};

static unsigned passed, failed;

void unit_assert_int(unsigned line, const char *file, const char *what, long long actual,
	long long expected)
{
	char message[256];

	snprintf(message, sizeof(message), "%s is %lld, not %lld", what, actual, expected);
	CU_assertImplementation(actual == expected, line, message, file, "", CU_FALSE);
}

static bool is_wanted(const char *name, const char *wanted)
{
	return !wanted || strcmp(name, wanted) == 0;
}

/* CUnit's registry takes the tables as not constant, but leaves them so. */
static bool add_suite(const CU_SuiteInfo *suite, const char *wanted)
{
	CU_pSuite added = CU_add_suite_with_setup_and_teardown(suite->pName, suite->pInitFunc,
		suite->pCleanupFunc, suite->pSetUpFunc, suite->pTearDownFunc);
	bool any = false;

	for (const CU_TestInfo *test = suite->pTests; test->pName; test++) {
		if (!is_wanted(test->pName, wanted))
			continue;
		any = true;
		if (!added || !CU_add_test(added, test->pName, test->pTestFunc))
			return false;
	}
	return any;
}

static void list(void)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++)
		for (const CU_TestInfo *test = suites[i]->pTests; test->pName; test++)
			printf("%s \"%s\"\n", suites[i]->pName, test->pName);
}

static void suite_starts(const CU_pSuite suite)
{
	printf("%s\n", suite->pName);
}

static void test_ended(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	(void)suite;
	printf("  %s %s\n", failure ? "FAIL" : "ok  ", test->pName);
	for (CU_pFailureRecord at = failure; at; at = at->pNext)
		printf("       %s:%u: %s\n", at->strFileName, at->uiLineNumber, at->strCondition);
	fflush(stdout);
	if (failure)
		failed++;
	else
		passed++;
}

static void suite_failed(const CU_pSuite suite)
{
	printf("  FAIL to set up or to clean up %s\n", suite->pName);
	failed++;
}

int main(int argc, char **argv)
{
	bool any = false;

	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		list();
		return 0;
	}
	if (argc > 3 || CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++)
		if (is_wanted(suites[i]->pName, argc > 1 ? argv[1] : NULL))
			any |= add_suite(suites[i], argc > 2 ? argv[2] : NULL);
	if (!any) {
		fprintf(stderr, "%s: no such test (-l lists them)\n", argv[0]);
		return 2;
	}
	CU_set_suite_start_handler(suite_starts);
	CU_set_test_complete_handler(test_ended);
	CU_set_suite_init_failure_handler(suite_failed);
	CU_set_suite_cleanup_failure_handler(suite_failed);
	CU_run_all_tests();
	CU_cleanup_registry();
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit [SUITE [TEST]]   run all tests, one suite or one test
 * unit -l               list them
 *
 * The last line is `N passed, N failed, N skipped`, in tests. Exit status
 * 1 if any failed, 77 if all were skipped, 2 for bad usage.
 */
#include "unit.h"

#include <stdarg.h>
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

static unsigned passed, failed, skipped;

/* Of the test that runs. */
static const CU_SuiteInfo *suite_now;
static const CU_TestInfo *test_now;
static bool is_set_up;
static char *skip_reason; /* NULL: it is not skipped */

void unit_skip(const char *format, ...)
{
	va_list arguments;

	g_free(skip_reason);
	va_start(arguments, format);
	skip_reason = g_strdup_vprintf(format, arguments);
	va_end(arguments);
}

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

static void find_test(const char *suite, const char *test)
{
	for (size_t i = 0; i < G_N_ELEMENTS(suites); i++)
		if (strcmp(suites[i]->pName, suite) == 0)
			suite_now = suites[i];
	for (test_now = suite_now->pTests; strcmp(test_now->pName, test) != 0;)
		test_now++;
}

/*
 * Every test, as CUnit sees it. The set-up function is called here because CUnit calls its own
 * where a fatal assertion ends nothing.
 */
static void run_test(void)
{
	is_set_up = false;
	find_test(CU_get_current_suite()->pName, CU_get_current_test()->pName);
	if (suite_now->pSetUpFunc)
		suite_now->pSetUpFunc();
	is_set_up = !skip_reason;
	if (is_set_up)
		test_now->pTestFunc();
}

static void tear_down(void)
{
	if (is_set_up && suite_now->pTearDownFunc)
		suite_now->pTearDownFunc();
}

/* CUnit's registry takes the tables as not constant, but leaves them so. */
static bool add_suite(const CU_SuiteInfo *suite, const char *wanted)
{
	CU_pSuite added = CU_add_suite_with_setup_and_teardown(suite->pName, suite->pInitFunc,
		suite->pCleanupFunc, NULL, tear_down);
	bool any = false;

	for (const CU_TestInfo *test = suite->pTests; test->pName; test++) {
		if (!is_wanted(test->pName, wanted))
			continue;
		any = true;
		if (!added || !CU_add_test(added, test->pName, run_test))
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
	if (skip_reason && !failure)
		printf("  skip %s: %s\n", test->pName, skip_reason);
	else
		printf("  %s %s\n", failure ? "FAIL" : "ok  ", test->pName);
	for (CU_pFailureRecord at = failure; at; at = at->pNext)
		printf("       %s:%u: %s\n", at->strFileName, at->uiLineNumber, at->strCondition);
	fflush(stdout);
	if (failure)
		failed++;
	else if (skip_reason)
		skipped++;
	else
		passed++;
	g_clear_pointer(&skip_reason, g_free);
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
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	if (failed)
		return 1;
	return skipped && !passed ? 77 : 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests: a suite is a file that defines `const CU_SuiteInfo NAME_suite` and stands in
 * suites.h and meson.build.
 *
 * The name of a test says what holds, as a sentence would. What cannot be set up fails the test
 * (CU_ASSERT_FATAL, also in pSetUpFunc; in pTearDownFunc CU_ASSERT), never the program (g_assert).
 */
#pragma once

#include <CUnit/CUnit.h>
#include <glib.h>

/*
 * Ends a test that cannot run here: it counts as skipped, with the reason (printf's format). For a
 * test function or a suite's set-up function (pSetUpFunc), which then must have nothing left to
 * release: the test and the clean-up function are not called.
 */
#define SKIP(...)                                                                                  \
	do {                                                                                       \
		unit_skip(__VA_ARGS__);                                                            \
		return;                                                                            \
	} while (0)

/* For a helper: the test goes on, but counts as skipped unless it fails. */
void unit_skip(const char *format, ...) G_GNUC_PRINTF(1, 2);

#define ASSERT_STRING(actual, expected) CU_ASSERT_STRING_EQUAL(actual, expected)

/* An assertion about integers that shows what was found instead. */
#define ASSERT_INT(actual, expected) unit_assert_int(__LINE__, __FILE__, #actual, actual, expected)
void unit_assert_int(unsigned line, const char *file, const char *what, long long actual,
	long long expected);

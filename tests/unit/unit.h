/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests: a suite is a file that defines `const CU_SuiteInfo NAME_suite` and stands in
 * suites.h and meson.build.
 *
 * The name of a test says what holds, as a sentence would.
 */
#pragma once

#include <CUnit/CUnit.h>

#define ASSERT_STRING(actual, expected) CU_ASSERT_STRING_EQUAL(actual, expected)

/* An assertion about integers that shows what was found instead. */
#define ASSERT_INT(actual, expected) unit_assert_int(__LINE__, __FILE__, #actual, actual, expected)
void unit_assert_int(unsigned line, const char *file, const char *what, long long actual,
	long long expected);

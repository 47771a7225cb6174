/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers as people write them. */
#include "base/units.h"

#include "unit.h"

typedef bool (*parser)(const char *text, int64_t *out);

static void assert_read(parser parse, const char *text, int64_t wanted)
{
	int64_t value = -1;

	CU_ASSERT(parse(text, &value));
	ASSERT_INT(value, wanted);
}

static void assert_refused(parser parse, const char *text)
{
	int64_t value;

	CU_ASSERT(!parse(text, &value));
}

static void sizes_have_units_of_1024(void)
{
	assert_read(units_parse_bytes, "0", 0);
	assert_read(units_parse_bytes, "1536", 1536);
	assert_read(units_parse_bytes, "1K", 1024);
	assert_read(units_parse_bytes, "1.5k", 1536);
	assert_read(units_parse_bytes, "10M", 10485760);
	assert_read(units_parse_bytes, "2g", INT64_C(2147483648));
	assert_read(units_parse_bytes, "1T", INT64_C(1099511627776));
	assert_read(units_parse_bytes, "0.0009765625K", 1);
}

static void durations_have_units_of_time(void)
{
	assert_read(units_parse_duration, "90", 90 * NANOSECONDS);
	assert_read(units_parse_duration, "90S", 90 * NANOSECONDS);
	assert_read(units_parse_duration, "5m", 300 * NANOSECONDS);
	assert_read(units_parse_duration, "1.5h", 5400 * NANOSECONDS);
	assert_read(units_parse_duration, "2d", 172800 * NANOSECONDS);
	assert_read(units_parse_duration, "1w", 604800 * NANOSECONDS);
	assert_read(units_parse_duration, "0.25", NANOSECONDS / 4);
}

static void what_does_not_fit_is_refused(void)
{
	assert_read(units_parse_count, "9223372036854775807", INT64_MAX);
	assert_refused(units_parse_count, "9223372036854775808");
	assert_refused(units_parse_count, "18446744073709551616");
	assert_read(units_parse_bytes, "8388607T", INT64_MAX - (INT64_C(1) << 40) + 1);
	assert_refused(units_parse_bytes, "8388608T");
	assert_refused(units_parse_bytes, "9223372036854775807.5K");
	assert_refused(units_parse_duration, "15251w");
}

static void anything_else_is_no_number(void)
{
	for (const char *const *text = (const char *const[]){ "", "x", "-1", "+1", " 1", "1 ",
		     "1KB", "K", ".5K", "1.", "1.K", "1e3", "0x10", "1s1", NULL };
		*text; text++) {
		assert_refused(units_parse_bytes, *text);
		assert_refused(units_parse_duration, *text);
		assert_refused(units_parse_count, *text);
	}
	assert_refused(units_parse_bytes, "1s");
	assert_refused(units_parse_duration, "1K");
	assert_refused(units_parse_count, "1.5");
	assert_refused(units_parse_count, "1K");
}

static void times_are_seconds_or_iso_8601(void)
{
	assert_read(units_parse_time, "0", 0);
	assert_read(units_parse_time, "1.5", NANOSECONDS * 3 / 2);
	assert_read(units_parse_time, "1970-01-01T00:01:00Z", 60 * NANOSECONDS);
	assert_read(units_parse_time, "1970-01-01T02:00:00+02:00", 0);
	assert_refused(units_parse_time, "1970-01-01");
	assert_refused(units_parse_time, "1m");
	assert_refused(units_parse_time, "9999-01-01T00:00:00Z");
}

static void a_time_too_far_away_is_the_nearest_that_fits(void)
{
	ASSERT_INT(units_nanoseconds(&(struct timespec){ 2, 5 }), 2000000005);
	ASSERT_INT(units_nanoseconds(&(struct timespec){ -1, 5 }), -999999995);
	ASSERT_INT(units_nanoseconds(&(struct timespec){ INT64_MAX / 1000, 0 }), INT64_MAX);
	ASSERT_INT(units_nanoseconds(&(struct timespec){ INT64_MIN / 1000, 0 }), INT64_MIN);
	ASSERT_INT(units_nanoseconds(&(struct timespec){ INT64_MAX / NANOSECONDS, 999999999 }),
		INT64_MAX);
}

static void assert_duration(int64_t nanoseconds, const char *wanted)
{
	g_autoptr(GString) text = g_string_new(NULL);

	units_format_duration(text, nanoseconds);
	ASSERT_STRING(text->str, wanted);
}

static void a_duration_is_told_by_its_largest_unit(void)
{
	assert_duration(NANOSECONDS - 1, "0s");
	assert_duration(59 * NANOSECONDS, "59s");
	assert_duration(60 * NANOSECONDS, "1m");
	assert_duration(3600 * NANOSECONDS - 1, "59m");
	assert_duration(3600 * NANOSECONDS, "1h");
	assert_duration(86400 * NANOSECONDS, "1d");
	assert_duration(604800 * NANOSECONDS - 1, "6d");
	assert_duration(604800 * NANOSECONDS, "1w");
	assert_duration(14 * 86400 * NANOSECONDS, "2w");
}

static CU_TestInfo tests[] = {
	{ "sizes have units of 1024", sizes_have_units_of_1024 },
	{ "durations have units of time", durations_have_units_of_time },
	{ "what does not fit is refused", what_does_not_fit_is_refused },
	{ "anything else is no number", anything_else_is_no_number },
	{ "times are seconds or ISO 8601", times_are_seconds_or_iso_8601 },
	{ "a time too far away is the nearest that fits",
		a_time_too_far_away_is_the_nearest_that_fits },
	{ "a duration is told by its largest unit", a_duration_is_told_by_its_largest_unit },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo units_suite = { "units", NULL, NULL, NULL, NULL, tests };

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `shmtree --list` is asked for: columns, conditions, sizes and times. */
#include "list/filter.h"
#include "list/list.h"
#include "list/request.h"
#include "base/units.h"

#include "unit.h"

#include <string.h>

#define KIB INT64_C(1024)

static const struct timespec now = { .tv_sec = 1000000, .tv_nsec = 5 };

static const struct segments_row idle = {
	.label = "posix",
	.id = "psm_1f",
	.name = "psm_1f",
	.mode = 0600,
	.size = 10 * KIB * KIB,
	.allocated = 4096,
	.resident = BYTES_UNKNOWN,
	.state = STATE_IDLE,
	.since = { .tv_sec = 999999 },
	.mtime = { .tv_sec = 1000000 - 3600 },
	.atime = { .tv_sec = 1000000 - 7200 },
};

static const struct segments_row mapped = {
	.label = "sysv",
	.id = "7",
	.name = "a,b*",
	.size = 1,
	.usage = { .mappings = 3, .processes = 2 },
	.references = REFERENCES_UNKNOWN,
	.state = STATE_MAPPED,
	.ctime = { .tv_sec = 1000 },
	.used = 1000000 - 60,
};

static bool has(const char *where, const struct segments_row *row)
{
	char *why = NULL;
	struct list_filter *filter = list_filter_parse(where, &why);
	bool result;

	CU_ASSERT_PTR_NOT_NULL_FATAL(filter);
	CU_ASSERT_PTR_NULL(why);
	result = list_filter_has(filter, row, &now);
	list_filter_free(filter);
	return result;
}

static void all_conditions_must_hold(void)
{
	CU_ASSERT(list_filter_has(NULL, &idle, &now));
	CU_ASSERT(has("STATE=idle,SIZE>9M", &idle));
	CU_ASSERT(has("state=idle, size>=10M", &idle));
	CU_ASSERT(!has("STATE=idle,SIZE>10M", &idle));
	CU_ASSERT(!has("STATE=idle", &mapped));
	CU_ASSERT(has("STATE!=idle,MAPPINGS>2,MAPPINGS<4,MAPPINGS<=3,MAPPINGS!=2", &mapped));
}

static void texts_are_patterns(void)
{
	CU_ASSERT(has("NAME=psm_*", &idle) && !has("NAME!=psm_*", &idle));
	CU_ASSERT(!has("NAME=psm_", &idle));
	CU_ASSERT(has("NAME=a\\,b\\*", &mapped) && !has("NAME=a\\,c\\*", &mapped));
	CU_ASSERT(has("KIND=[ps]*,PERMS=0600", &idle));
	CU_ASSERT(has("USER=root,GROUP=r*t", &idle) && !has("USER!=root", &idle));
}

static void what_is_not_known_is_equal_to_nothing(void)
{
	CU_ASSERT(!has("RESIDENT>=0", &idle) && !has("RESIDENT!=1", &idle));
	CU_ASSERT(has("RESIDENT=unknown", &idle) && !has("RESIDENT!=unknown", &idle));
	CU_ASSERT(has("ALLOCATED!=unknown", &idle));
	CU_ASSERT(!has("SINCE>=0", &mapped) && has("SINCE=unknown", &mapped));
	CU_ASSERT(has("SINCE=999999,SINCE<1970-01-12T13:46:40Z", &idle));
}

/* The last of all its times, the kernel's own time of use too. */
static void age_is_since_the_last_change(void)
{
	CU_ASSERT(has("AGE>=1h,AGE<3601", &idle) && !has("AGE>61m", &idle));
	CU_ASSERT(has("AGE>=60,AGE<61s", &mapped));
}

static void wrong_conditions_are_refused(void)
{
	static const char *const wrong[] = { "", ",", "STATE", "STATE=idle,", "=1", "FOO=1",
		"SIZE=", "SIZE=-1", "SIZE=1.5X", "SIZE=1e3", "AGE>1y", "STATE<idle", "UID=1K",
		"UID>unknown", "SIZE~1", "SIZE=99999999T", "SINCE=yesterday", "SIZE=1.", "SIZE = 1",
		"SIZE>18446744073709551616", "SIZE>9223372036854775808",
		"SIZE>9223372036854775807.9", "MAPPINGS>1.5", "USER>root", "GROUP<root" };

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		char *why = NULL;

		CU_ASSERT_PTR_NULL(list_filter_parse(wrong[i], &why));
		CU_ASSERT_PTR_NOT_NULL(why);
		g_free(why);
	}
}

static void columns_are_found_by_name(void)
{
	g_autofree char *wrong = NULL;
	g_autofree char *none = NULL;
	g_autoptr(GPtrArray) columns = list_columns_parse("name,AGE,Size,name", &wrong);

	CU_ASSERT_PTR_NOT_NULL_FATAL(columns);
	ASSERT_INT(columns->len, 4);
	ASSERT_STRING(((const struct list_column *)columns->pdata[2])->name, "SIZE");
	CU_ASSERT_PTR_NULL(list_columns_parse("", &none));
	CU_ASSERT_PTR_NULL(list_columns_parse("NAME,,SIZE", &wrong));
	ASSERT_STRING(wrong, "");
}

static void assert_bytes(uint64_t bytes, const char *wanted)
{
	g_autoptr(GString) text = g_string_new(NULL);

	units_format_bytes(text, bytes);
	ASSERT_STRING(text->str, wanted);
}

static void assert_duration(int64_t seconds, const char *wanted)
{
	g_autoptr(GString) text = g_string_new(NULL);

	units_format_duration(text, seconds * NANOSECONDS);
	ASSERT_STRING(text->str, wanted);
}

static void numbers_are_for_people(void)
{
	assert_bytes(0, "0");
	assert_bytes(1023, "1023");
	assert_bytes(1024, "1.0K");
	assert_bytes(1025, "1.1K");
	assert_bytes(10 * 1024 - 1, "10K");
	assert_bytes(10 * 1024 + 1, "11K");
	assert_bytes(UINT64_MAX - 1, "16E");
	assert_duration(0, "0s");
	assert_duration(3599, "59m");
	assert_duration(86400 * 6, "6d");
	assert_duration(86400 * 800, "114w");
}

static void limits_are_percentages_or_sizes(void)
{
	static const char *const wrong[] = { "", "%", "0%", "101%", "-1%", "1e1%", "5.5.5%", "x",
		"-5" };
	double percent;
	int64_t bytes;

	CU_ASSERT(list_limit_parse("90%", &percent, &bytes) && percent == 90 && bytes == -1);
	CU_ASSERT(list_limit_parse("99.5%", &percent, &bytes) && percent == 99.5);
	CU_ASSERT(list_limit_parse("1.5K", &percent, &bytes) && percent == 0 && bytes == 1536);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		CU_ASSERT(!list_limit_parse(wrong[i], &percent, &bytes));
}

static bool wanted(const char *line)
{
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);

	return list_wanted((int)g_strv_length(argv), argv);
}

static void a_list_is_asked_for_by_its_option(void)
{
	CU_ASSERT(wanted("shmtree --json --list /dev/shm"));
	CU_ASSERT(!wanted("shmtree /mnt") && !wanted("shmtree -- --list"));
	CU_ASSERT(!wanted("shmtree --list --help") && !wanted("shmtree -V --list"));
}

static CU_TestInfo tests[] = {
	{ "all conditions must hold", all_conditions_must_hold },
	{ "texts are patterns", texts_are_patterns },
	{ "what is not known is equal to nothing", what_is_not_known_is_equal_to_nothing },
	{ "age is since the last change", age_is_since_the_last_change },
	{ "wrong conditions are refused", wrong_conditions_are_refused },
	{ "columns are found by name", columns_are_found_by_name },
	{ "numbers are for people", numbers_are_for_people },
	{ "limits are percentages or sizes", limits_are_percentages_or_sizes },
	{ "a list is asked for by its option", a_list_is_asked_for_by_its_option },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo list_suite = { "list", NULL, NULL, NULL, NULL, tests };

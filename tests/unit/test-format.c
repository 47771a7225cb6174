/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/format.h"
#include "base/json.h"

#include "unit.h"

#include <string.h>

static void assert_escaped(const char *value, const char *expected)
{
	GString *out = g_string_new("x\t");

	format_escaped(out, value);
	ASSERT_STRING(out->str + 2, expected);
	g_string_free(out, TRUE);
}

static void escapes_what_would_break_a_table(void)
{
	assert_escaped("", "");
	assert_escaped("plain name (deleted)", "plain name (deleted)");
	assert_escaped("a\tb\nc\\d", "a\\011b\\012c\\134d");
	assert_escaped("\x01\x1b[31m\x7f\r", "\\001\\033[31m\\177\\015");
}

static void leaves_bytes_above_ascii(void)
{
	assert_escaped("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	/* C1 (CSI, as UTF-8 and as a byte), a change of direction, and a separator of lines. */
	assert_escaped("\xc2\x9b"
		       "2J",
		"\\302\\2332J");
	assert_escaped("\x9b"
		       "2J",
		"\\2332J");
	assert_escaped("a\xe2\x80\xaetxt", "a\\342\\200\\256txt");
	assert_escaped("a\xe2\x81\xa6", "a\\342\\201\\246");
	assert_escaped("\xe2\x80\xa8", "\\342\\200\\250");
	assert_escaped("\xff\xfe\xa0", "\xff\xfe\xa0");
}

static void assert_label(const char *value, const char *expected)
{
	g_autoptr(GString) out = g_string_new("name=");

	format_label(out, value);
	ASSERT_STRING(out->str + strlen("name="), expected);
	CU_ASSERT(g_utf8_validate(out->str, out->len, NULL));
}

static void labels_escape_what_openmetrics_says(void)
{
	assert_label("", "\"\"");
	assert_label("plain name{}=,", "\"plain name{}=,\"");
	assert_label("a\\b\"c\nd", "\"a\\\\b\\\"c\\nd\"");
	assert_label("a\\nb", "\"a\\\\nb\"");
	assert_label("a\tb\r\x01", "\"a\tb\r\x01\"");
	assert_label("gr\xc3\xbc\xf0\x9f\x90\x98", "\"gr\xc3\xbc\xf0\x9f\x90\x98\"");
}

#define MARK "\xef\xbf\xbd"

static void labels_keep_the_bytes_of_what_is_not_utf8(void)
{
	assert_label("\xff", "\"" MARK "FF\"");
	assert_label("a\xc3", "\"a" MARK "C3\"");
	assert_label("\xc3\"", "\"" MARK "C3\\\"\"");
	assert_label("\xed\xa0\x80", "\"" MARK "ED" MARK "A0" MARK "80\"");
	assert_label("\xc0\xaf", "\"" MARK "C0" MARK "AF\"");
	/* Nobody can write what an escape looks like. */
	assert_label(MARK "FF", "\"" MARK "EF" MARK "BF" MARK "BDFF\"");
}

static void assert_dot(const char *value, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);

	format_dot(out, value);
	ASSERT_STRING(out->str, expected);
	CU_ASSERT(g_utf8_validate(out->str, out->len, NULL));
}

static void graph_labels_show_what_tables_do(void)
{
	assert_dot("", "");
	assert_dot("plain <b> {x|y} gr\xc3\xbc", "plain <b> {x|y} gr\xc3\xbc");
	assert_dot("a\"b", "a\\\"b");
	assert_dot("a\\", "a\\\\134");
	assert_dot("\\N\n\x7f", "\\\\134N\\\\012\\\\177");
	assert_dot("&amp;", "&amp;amp;");
	assert_dot("\xff\xc3", "\\\\377\\\\303");
	assert_dot("\xc2\x85\xef\xbf\xbf", "\\\\302\\\\205\\\\357\\\\277\\\\277");
}

static void assert_time(time_t seconds, long nanoseconds, const char *expected)
{
	GString *out = g_string_new(NULL);

	format_time(out, &(struct timespec){ seconds, nanoseconds });
	ASSERT_STRING(out->str, expected);
	g_string_free(out, TRUE);
}

static void writes_times_on_both_sides_of_1970(void)
{
	assert_time(0, 0, "0.000000000");
	assert_time(1700000000, 5, "1700000000.000000005");
	assert_time(-1, 0, "-1.000000000");
	assert_time(-2, 500000000, "-1.500000000");
	assert_time(-1, 999999999, "-0.000000001");
	assert_time(-1, 1, "-0.999999999");
}

static char *json_of(const char *value)
{
	GString *text = g_string_new(NULL);
	struct json json;

	format_json_line(&json, text);
	format_json_object(&json, NULL);
	format_json_bytes(&json, "name", value);
	format_json_end(&json);
	return g_string_free(text, FALSE);
}

static void assert_json(const char *value, const char *expected)
{
	g_autofree char *text = json_of(value);

	ASSERT_STRING(text, expected);
	CU_ASSERT(g_utf8_validate(text, -1, NULL));
}

static void json_has_utf8_as_it_is(void)
{
	assert_json("gr\xc3\xbc n", "{\"name\":\"gr\xc3\xbc n\"}");
	assert_json("a\"b\\c", "{\"name\":\"a\\\"b\\\\c\"}");
	assert_json("a\nb\x01", "{\"name\":\"a\\nb\\u0001\"}");
}

static void json_keeps_the_bytes_of_what_is_not_utf8(void)
{
	/* A stray byte, an overlong form, a surrogate, a sequence cut short. */
	assert_json("a\xff", "{\"name\":\"a\xef\xbf\xbd\",\"name_base64\":\"Yf8=\"}");
	for (const char *const *bad =
			(const char *const[]){ "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", NULL };
		*bad; bad++) {
		g_autofree char *text = json_of(*bad);
		g_autofree char *exact = g_base64_encode((const guchar *)*bad, strlen(*bad));

		CU_ASSERT(g_utf8_validate(text, -1, NULL));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, exact));
	}
}

static void assert_written(const GString *out, const char *expected)
{
	ASSERT_STRING(out->str, expected);
}

static void write_nested(struct json *json)
{
	format_json_object(json, NULL);
	format_json_number(json, "n", 18446744073709551614u);
	format_json_number(json, "unknown", UINT64_MAX);
	format_json_array(json, "none");
	format_json_end(json);
	format_json_array(json, "some");
	format_json_object(json, NULL);
	format_json_bool(json, "yes", true);
	format_json_end(json);
	format_json_null(json, NULL);
	format_json_end(json);
	format_json_end(json);
}

static void json_stands_on_one_line_or_on_many(void)
{
	GString *out = g_string_new(NULL);
	struct json json;

	format_json_line(&json, out);
	write_nested(&json);
	assert_written(out,
		"{\"n\":18446744073709551614,\"unknown\":null,\"none\":[],\"some\":[{\"yes\":true},"
		"null]}");
	g_string_truncate(out, 0);
	format_json_lines(&json, out, 1);
	write_nested(&json);
	assert_written(out,
		" {\n   \"n\" : 18446744073709551614,\n   \"unknown\" : null,\n   \"none\" : [],\n"
		"   \"some\" : [\n     {\n       \"yes\" : true\n     },\n     null\n   ]\n }");
	g_string_free(out, TRUE);
}

/* A double has 53 bits: too few for nanoseconds of this century. */
static void json_has_all_digits_of_a_time(void)
{
	GString *out = g_string_new(NULL);
	struct json json;

	format_json_line(&json, out);
	format_json_object(&json, NULL);
	format_json_time(&json, "whole", &(struct timespec){ 1234567890, 0 });
	format_json_time(&json, "exact", &(struct timespec){ 1764139000, 123456789 });
	format_json_end(&json);
	assert_written(out, "{\"whole\":1234567890.000000000,\"exact\":1764139000.123456789}");
	g_string_free(out, TRUE);
}

static void json_escapes_what_terminals_obey(void)
{
	assert_json("\x7f\xc2\x9b\xe2\x80\xae", "{\"name\":\"\\u007f\\u009b\\u202e\"}");
	assert_json("\t\x1b", "{\"name\":\"\\t\\u001b\"}");
}

static void assert_in_page(const char *value, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct json json;

	format_json_page(&json, text);
	format_json_array(&json, NULL);
	format_json_bytes(&json, NULL, value);
	format_json_end(&json);
	ASSERT_STRING(text->str, expected);
}

static void nothing_in_a_page_is_markup(void)
{
	assert_in_page("", "[\"\"]");
	assert_in_page("</script><!--&amp;", "[\"\\u003c/script\\u003e\\u003c!--\\u0026amp;\"]");
	assert_in_page("quo\"te\\", "[\"quo\\\"te\\\\134\"]");
	assert_in_page("a\nb\x7f", "[\"a\\\\012b\\\\177\"]");
	assert_in_page("\xff\xc3", "[\"\\\\377\\\\303\"]");
	assert_in_page("\xe2\x80\xa8\xe2\x80\xae",
		"[\"\\\\342\\\\200\\\\250\\\\342\\\\200\\\\256\"]");
	assert_in_page("\xd7\xa9 \xc3\xbc", "[\"\xd7\xa9 \xc3\xbc\"]");
}

static CU_TestInfo tests[] = {
	{ "nothing in a page is markup", nothing_in_a_page_is_markup },
	{ "escapes what would break a table", escapes_what_would_break_a_table },
	{ "leaves bytes above ASCII", leaves_bytes_above_ascii },
	{ "labels escape what OpenMetrics says", labels_escape_what_openmetrics_says },
	{ "labels keep the bytes of what is not UTF-8", labels_keep_the_bytes_of_what_is_not_utf8 },
	{ "graph labels show what tables do", graph_labels_show_what_tables_do },
	{ "writes times on both sides of 1970", writes_times_on_both_sides_of_1970 },
	{ "JSON has UTF-8 as it is", json_has_utf8_as_it_is },
	{ "JSON keeps the bytes of what is not UTF-8", json_keeps_the_bytes_of_what_is_not_utf8 },
	{ "JSON stands on one line or on many", json_stands_on_one_line_or_on_many },
	{ "JSON has all digits of a time", json_has_all_digits_of_a_time },
	{ "JSON escapes what terminals obey", json_escapes_what_terminals_obey },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo format_suite = { "format", NULL, NULL, NULL, NULL, tests };

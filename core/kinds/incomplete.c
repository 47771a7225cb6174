/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/incomplete.h"

#include "base/json.h"

#include <inttypes.h>

static bool is_complete(const struct census_report *report, unsigned kinds)
{
	return report->unreadable == 0 && !report->incomplete_view && kinds == 0;
}

void incomplete_line(struct census *census, unsigned kinds, GString *out)
{
	struct census_report report = census_report(census);

	if (is_complete(&report, kinds))
		return;
	g_string_append_printf(out, "# not read: %" PRIu64 " processes, %u kinds%s%s\n",
		report.unreadable, kinds, report.incomplete_view ? "; " : "",
		report.incomplete_view ? report.incomplete_view : "");
}

void incomplete_json(struct census *census, unsigned kinds, struct json *json)
{
	struct census_report report = census_report(census);

	if (is_complete(&report, kinds)) {
		format_json_null(json, "incomplete");
		return;
	}
	format_json_object(json, "incomplete");
	format_json_number(json, "processes", report.unreadable);
	format_json_number(json, "kinds", kinds);
	format_json_bool(json, "invisible", report.incomplete_view != NULL);
	format_json_end(json);
}

void incomplete_texts(struct census *census, unsigned kinds, char **line, char **member)
{
	GString *as_line = g_string_new(NULL), *as_member = g_string_new(NULL);
	struct json json;

	incomplete_line(census, kinds, as_line);
	*line = g_string_free(as_line, FALSE);
	format_json_line(&json, as_member);
	format_json_object(&json, NULL);
	incomplete_json(census, kinds, &json);
	*member = g_strndup(as_member->str + 1, as_member->len - 1);
	g_string_free(as_member, TRUE);
}

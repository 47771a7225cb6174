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

void incomplete_json(struct census *census, unsigned kinds, JsonBuilder *builder)
{
	struct census_report report = census_report(census);

	json_builder_set_member_name(builder, "incomplete");
	if (is_complete(&report, kinds)) {
		json_builder_add_null_value(builder);
		return;
	}
	json_builder_begin_object(builder);
	format_json_number(builder, "processes", report.unreadable);
	format_json_number(builder, "kinds", kinds);
	json_builder_set_member_name(builder, "invisible");
	json_builder_add_boolean_value(builder, report.incomplete_view != NULL);
	json_builder_end_object(builder);
}

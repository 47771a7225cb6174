/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/segments-format.h"

#include "base/json.h"

#include <string.h>

static void append_header(GString *out)
{
	for (const struct segments_column *column = segments_columns; column->name; column++)
		g_string_append_printf(out, "%s%s", column == segments_columns ? "" : "\t",
			column->name);
	g_string_append_c(out, '\n');
}

static void append_row(const struct segments_row *row, GString *out)
{
	for (const struct segments_column *column = segments_columns; column->name; column++) {
		if (column != segments_columns)
			g_string_append_c(out, '\t');
		column->append(row, column, out);
	}
	g_string_append_c(out, '\n');
}

/* A header, the segments, and an end. */
static void format_table(const void *snapshot, size_t row, GString *out)
{
	struct segments_row segment;

	if (row == 0) {
		append_header(out);
	} else if (row > segments_count(snapshot)) {
		g_string_append(out, segments_incomplete_line(snapshot));
	} else {
		segments_get(snapshot, row - 1, &segment);
		append_row(&segment, out);
	}
}

static void append_members(const struct segments_row *row, struct json *json)
{
	g_autofree char *perms = g_strdup_printf("%04o", row->mode & 07777u);

	format_json_bytes(json, "kind", row->label);
	format_json_bytes(json, "id", row->id);
	format_json_bytes(json, "name", row->name);
	format_json_bytes(json, "perms", perms);
	format_json_number(json, "uid", row->uid);
	format_json_number(json, "gid", row->gid);
	format_json_number(json, "size", row->size);
	format_json_number(json, "allocated", row->allocated);
	format_json_number(json, "resident", row->resident);
	format_json_number(json, "swapped", row->swapped);
	format_json_number(json, "mappings", row->usage.mappings);
	format_json_number(json, "processes", row->usage.processes);
	format_json_number(json, "openers", row->usage.openers);
	format_json_number(json, "references", row->references);
	format_json_number(json, "hidden", row->hidden);
	format_json_bytes(json, "state", segment_state_name(row->state));
	if (row->state == STATE_IDLE)
		format_json_time(json, "since", &row->since);
	else
		format_json_null(json, "since");
	format_json_time(json, "atime", &row->atime);
	format_json_time(json, "mtime", &row->mtime);
	format_json_time(json, "ctime", &row->ctime);
	format_json_number(json, "ino", row->ino);
}

void segments_json_row(const struct segments_row *row, GString *out)
{
	struct json json;

	format_json_line(&json, out);
	format_json_object(&json, NULL);
	append_members(row, &json);
	last_user_format(&row->last, &json);
	if (*row->of_kind)
		g_string_append_printf(out, ",%s", row->of_kind);
	format_json_end(&json);
}

static void format_json(const void *snapshot, size_t row, GString *out)
{
	struct segments_row segment;

	if (row == 0) {
		g_string_append(out, "{\"segments\":[");
	} else if (row > segments_count(snapshot)) {
		g_string_append_printf(out, "\n],%s}\n", segments_incomplete_json(snapshot));
	} else {
		g_string_append(out, row == 1 ? "\n" : ",\n");
		segments_get(snapshot, row - 1, &segment);
		segments_json_row(&segment, out);
	}
}

static void format_json_each(const void *snapshot, size_t row, GString *out)
{
	struct segments_row segment;

	if (row == 0)
		return;
	if (row <= segments_count(snapshot)) {
		segments_get(snapshot, row - 1, &segment);
		segments_json_row(&segment, out);
		g_string_append_c(out, '\n');
	} else if (*segments_incomplete_line(snapshot)) {
		g_string_append_printf(out, "{%s}\n", segments_incomplete_json(snapshot));
	}
}

static void free_snapshot(void *snapshot)
{
	segments_free(snapshot);
}

int segments_view(const struct realm *realm, const struct caller *caller, enum segments_form form,
	struct budget *budget, struct view_rows *out)
{
	static void (*const formats[])(const void *snapshot, size_t row, GString *out) = {
		[SEGMENTS_TABLE] = format_table,
		[SEGMENTS_JSON] = format_json,
		[SEGMENTS_JSON_LINES] = format_json_each,
	};
	struct segments *segments;
	int r = form == SEGMENTS_TABLE ? segments_take(realm, budget, NULL, &segments) :
					 segments_take_full(realm, caller, budget, &segments);

	if (r < 0)
		return r;
	segments_sort(segments);
	*out = (struct view_rows){
		.n = segments_count(segments) + 2,
		.bytes = segments_bytes(segments),
		.snapshot = segments,
		.format = formats[form],
		.free = free_snapshot,
	};
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the page. Its data is one JSON object; what there is many of are arrays without names, whose order is
 * that of the lists in core/views/report/data.js.
 */
#include "views/report-private.h"

#include "base/json.h"
#include "views/report/report-page.h"

static const struct report_list *list_at(const struct report *report, guint index)
{
	return &g_array_index(report->lists, struct report_list, index);
}

static void text(struct json *json, const char *value)
{
	format_json_bytes(json, NULL, value);
}

static void number(struct json *json, uint64_t value)
{
	format_json_number(json, NULL, value);
}

static void text_or_null(struct json *json, const char *key, const char *value)
{
	if (value)
		format_json_bytes(json, key, value);
	else
		format_json_null(json, key);
}

static void write_census(const struct report *report, struct json *json)
{
	const struct census_report *census = &report->census;
	unsigned failures = 0;

	for (guint i = 0; i < report->lists->len; i++)
		failures += segments_failures(list_at(report, i)->segments);
	format_json_bytes(json, "backend", census->backend);
	format_json_number(json, "unreadable", census->unreadable);
	format_json_number(json, "inconsistent", census->inconsistent);
	format_json_number(json, "unlisted_kinds", failures);
	format_json_number(json, "limits_not_read", report->limits_unread);
	text_or_null(json, "invisible", census->incomplete_view);
	format_json_number(json, "not_shown", report->graph->hidden);
}

static void write_realms(const struct report *report, struct json *json)
{
	format_json_array(json, "realms");
	for (guint i = 0; i < report->lists->len; i++) {
		const struct report_list *list = list_at(report, i);

		format_json_array(json, NULL);
		text(json, list->realm);
		number(json, list->size);
		number(json, list->used);
		format_json_end(json);
	}
	format_json_end(json);
}

static void write_limits(const struct report *report, struct json *json)
{
	format_json_array(json, "limits");
	for (size_t i = 0; i < report->n_limits; i++) {
		format_json_array(json, NULL);
		text(json, report->limits[i].resource);
		number(json, report->limits[i].limit);
		number(json, report->limits[i].used);
		format_json_end(json);
	}
	format_json_end(json);
}

static void write_sums(const struct report *report, struct json *json)
{
	format_json_array(json, "sums");
	for (guint i = 0; i < report->sums->len; i++) {
		const struct report_sum *sum = &g_array_index(report->sums, struct report_sum, i);

		format_json_array(json, NULL);
		number(json, sum->list);
		text(json, sum->label);
		text(json, segment_state_name(sum->state));
		number(json, sum->segments);
		number(json, sum->size);
		number(json, sum->allocated);
		number(json, sum->unwritten);
		format_json_end(json);
	}
	format_json_end(json);
}

static void write_users(const struct report *report, struct json *json)
{
	format_json_array(json, "users");
	for (guint i = 0; i < report->users->len; i++) {
		const struct report_user *user =
			&g_array_index(report->users, struct report_user, i);

		if (!user->name)
			continue;
		format_json_array(json, NULL);
		number(json, user->uid);
		text(json, user->name);
		format_json_end(json);
	}
	format_json_end(json);
}

/* The object and its last array stay open: the rows end them. */
static void write_head(const struct report *report, GString *out)
{
	struct json json;

	g_string_append(out, report_page_head);
	format_json_page(&json, out);
	format_json_object(&json, NULL);
	format_json_bytes(&json, "version", SHMTREE_VERSION);
	text_or_null(&json, "host", report->host);
	format_json_bytes(&json, "source", report->source);
	format_json_time(&json, "time", &report->time);
	format_json_number(&json, "uid", report->uid);
	write_census(report, &json);
	write_realms(report, &json);
	write_limits(report, &json);
	write_sums(report, &json);
	write_users(report, &json);
	format_json_array(&json, "segments");
}

/* What those users of a segment that the reader sees have in common. */
struct common {
	guint seen;
	bool unit, program;
};

static struct common common_of(const struct usage_graph *graph, const struct graph_segment *segment)
{
	struct common common = { 0, true, true };
	const struct graph_process *first = NULL;

	for (guint i = segment->first; i < segment->first + segment->users; i++) {
		const struct graph_process *process =
			graph_process_at(graph, graph_edge_at(graph, i)->process);

		if (!process->seen)
			continue;
		common.seen++;
		if (!first)
			first = process;
		common.unit = common.unit && g_str_equal(process->unit, first->unit);
		common.program = common.program && g_str_equal(process->command, first->command);
	}
	return common;
}

/* Of each: which process, how many mappings, how many descriptors. */
static void write_segment_users(const struct report *report, const struct graph_segment *segment,
	struct json *json)
{
	guint end = segment->first + segment->users, listed = 0;

	format_json_array(json, NULL);
	for (guint i = segment->first; i < end && listed < REPORT_USERS; i++) {
		const struct graph_edge *edge = graph_edge_at(report->graph, i);

		if (report->ranks[edge->process] == REPORT_NONE)
			continue;
		number(json, report->ranks[edge->process]);
		number(json, edge->mappings);
		number(json, edge->descriptors);
		listed++;
	}
	format_json_end(json);
}

static void write_segment_row(const struct segments_row *row, struct json *json)
{
	text(json, row->label);
	text(json, segment_state_name(row->state));
	text(json, row->id);
	text(json, row->name);
	number(json, row->mode & 07777u);
	number(json, row->uid);
	number(json, row->gid);
	number(json, row->size);
	number(json, row->allocated);
	number(json, row->resident);
	number(json, row->swapped);
	number(json, row->usage.mappings);
	number(json, row->usage.processes);
	number(json, row->usage.openers);
	number(json, row->references);
	number(json, row->hidden);
	format_json_time(json, NULL, &row->since);
	format_json_time(json, NULL, &row->mtime);
}

static void write_segment(const struct report *report, size_t index, GString *out)
{
	const struct report_place *place =
		&g_array_index(report->places, struct report_place, index);
	const struct report_list *list = list_at(report, place->list);
	const struct graph_segment *segment =
		graph_segment_at(report->graph, list->first + place->row);
	struct common common = common_of(report->graph, segment);
	struct segments_row row;
	struct json json;

	segments_get(list->segments, place->row, &row);
	g_string_append(out, index > 0 ? ",\n" : "\n");
	format_json_page(&json, out);
	format_json_array(&json, NULL);
	number(&json, place->list);
	write_segment_row(&row, &json);
	number(&json, segment->users);
	number(&json, common.seen);
	number(&json, (common.unit ? 1 : 0) + (common.program ? 2 : 0));
	write_segment_users(report, segment, &json);
	format_json_end(&json);
}

static void write_process(const struct report *report, size_t index, GString *out)
{
	const struct graph_process *process =
		graph_process_at(report->graph, g_array_index(report->processes, guint32, index));
	struct json json;

	g_string_append(out, index > 0 ? ",\n" : "\n");
	format_json_page(&json, out);
	format_json_array(&json, NULL);
	number(&json, process->pid);
	number(&json, process->uid);
	text(&json, process->command);
	text(&json, process->unit);
	text(&json, process->cmdline);
	number(&json, process->born > 0 ? process->born : UINT64_MAX);
	number(&json, process->sums.segments);
	number(&json, process->sums.mappings);
	number(&json, process->sums.descriptors);
	number(&json, process->sums.size);
	number(&json, process->sums.share);
	format_json_end(&json);
}

/* The head, the segments, what stands before the processes, these, and the end. */
size_t report_rows(const struct report *report)
{
	return 1 + report->places->len + 1 + report->processes->len + 1;
}

void report_format(const void *snapshot, size_t row, GString *out)
{
	const struct report *report = snapshot;

	if (row == 0) {
		write_head(report, out);
		return;
	}
	row--;
	if (row < report->places->len) {
		write_segment(report, row, out);
		return;
	}
	row -= report->places->len;
	if (row == 0)
		g_string_append(out, "\n],\"processes\":[");
	else if (row <= report->processes->len)
		write_process(report, row - 1, out);
	else
		g_string_append_printf(out, "\n]}\n%s", report_page_tail);
}

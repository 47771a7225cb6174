/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/fault-rows.h"

#include "base/format.h"
#include "base/json.h"
#include "caller/who.h"
#include "views/fault-segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* What is shown of one bus error. */
struct shown {
	const struct fault *fault;
	struct fault_segment segment;
	uint64_t born;  /* clock ticks after boot */
	bool by_hidden; /* the reader may not know who truncated the segment */
};

struct showing {
	const struct view *view;
	struct caller_sight sight;
	uint64_t ns_per_tick;
	uint64_t not_shown;
	GArray *rows; /* of struct shown */
};

static void take(struct showing *showing, const struct fault *fault)
{
	struct shown shown = { .fault = fault };
	const struct truncation *by = &fault->by;

	shown.born = fault->seen.start_time / showing->ns_per_tick;
	if (!caller_sees_who(&showing->sight, fault->seen.pid, shown.born, fault->seen.uid,
		    fault->seen.flags & FAULT_READABLE)) {
		showing->not_shown++;
		return;
	}
	shown.by_hidden = fault->cut &&
		!caller_sees_who(&showing->sight, by->pid, by->born, by->uid, by->readable);
	fault_segment_find(fault, showing->view->realm, &shown.segment);
	g_array_append_val(showing->rows, shown);
}

static void take_all(struct showing *showing, const struct view *view, const GPtrArray *taken)
{
	*showing = (struct showing){
		.view = view,
		.ns_per_tick = 1000000000 / sysconf(_SC_CLK_TCK),
		.rows = g_array_new(FALSE, FALSE, sizeof(struct shown)),
	};
	caller_sight_begin(&showing->sight, view->realm->proc, &view->caller);
	for (guint i = 0; i < taken->len; i++)
		take(showing, taken->pdata[i]);
	caller_sight_end(&showing->sight);
}

static struct timespec truncation_time(const struct truncation *by)
{
	return (struct timespec){ by->time / 1000000000, by->time % 1000000000 };
}

/* As a table */

/*
 * Of one through the mount that is said: where others are not watched, there may have been one outside
 * of it since.
 */
static void text_truncation(const struct shown *row, GString *out)
{
	const struct truncation *by = &row->fault->by;
	const struct timespec time = truncation_time(by);

	g_string_append_printf(out, "; last truncated %sfrom %" PRIu64 " to %" PRIu64 " bytes at ",
		by->through_mount ? "through the mount " : "", by->from, by->to);
	format_time(out, &time);
	if (row->by_hidden) {
		g_string_append(out, " by a process that is not shown");
		return;
	}
	g_string_append_printf(out, " by %d", by->pid);
	if (by->uid != NO_UID)
		g_string_append_printf(out, " uid %u", by->uid);
	if (*by->command) {
		g_string_append_c(out, ' ');
		format_escaped(out, by->command);
	}
}

/* The cause's name says more than is known: the segment may never have been so long. */
static void text_beyond_end(const struct shown *row, GString *out)
{
	g_string_append(out, "beyond the end");
	if (row->fault->cut)
		text_truncation(row, out);
}

/* With the size as the names of the controller's files have it: hugetlb.2MB.max, for instance. */
static void text_group(const struct seen_fault *seen, GString *out)
{
	static const char units[] = "KMG";
	uint64_t size = seen->huge_page / 1024;
	int unit = 0;

	while (unit < 2 && size >= 1024) {
		size /= 1024;
		unit++;
	}
	g_string_append_printf(out, "limit of the hugetlb controller (hugetlb.%" PRIu64 "%cB)",
		size, units[unit]);
}

static void text_detail(const struct shown *row, GString *out)
{
	const struct seen_fault *seen = &row->fault->seen;
	gsize before = out->len;

	if (seen->cause == FAULT_TRUNCATED)
		text_beyond_end(row, out);
	else if (seen->cause == FAULT_CGROUP)
		text_group(seen, out);
	else if (seen->limit > 0)
		g_string_append_printf(out, "%s %u:%u has %" PRIu64 " of %" PRIu64 " bytes",
			seen->flags & FAULT_HUGE ? "hugetlbfs" : "tmpfs", major(row->fault->dev),
			minor(row->fault->dev), (uint64_t)seen->used, (uint64_t)seen->limit);
	else if (seen->flags & FAULT_DAMAGED)
		g_string_append(out, "memory error");
	if (seen->left_out > 0)
		g_string_append_printf(out, "%s%" PRIu64 " more before it",
			out->len > before ? "; " : "", (uint64_t)seen->left_out);
	if (out->len == before)
		g_string_append_c(out, '-');
}

static void text_row(const struct shown *row, bool first, GString *out)
{
	const struct seen_fault *seen = &row->fault->seen;

	(void)first;
	format_time(out, &row->fault->time);
	g_string_append_printf(out, "\t%d\t%u\t", seen->pid, seen->uid);
	format_escaped(out, seen->command);
	g_string_append_c(out, '\t');
	format_escaped(out, row->fault->unit);
	g_string_append_printf(out, "\t%" PRIx64 "\t%s\t", (uint64_t)seen->address,
		row->segment.kind);
	format_escaped(out, row->segment.id);
	g_string_append_c(out, '\t');
	format_escaped(out, row->segment.name);
	g_string_append_printf(out, "\t%" PRIu64 "\t%" PRIu64 "\t%s\t%" PRIu64 "\t",
		(uint64_t)seen->offset, (uint64_t)seen->size, fault_cause_name(seen->cause),
		row->born);
	text_detail(row, out);
	g_string_append_c(out, '\n');
}

static void text_end(const struct showing *showing, const struct fault_counts *counts,
	const char *why_not, GString *out)
{
	if (showing->not_shown > 0)
		g_string_append_printf(out, "# %" PRIu64 " not shown\n", showing->not_shown);
	if (counts->left_out > 0)
		g_string_append_printf(out,
			"# %" PRIu64 " left out: of processes or users with too many at once\n",
			(uint64_t)counts->left_out);
	if (counts->not_attributed > 0)
		g_string_append_printf(out,
			"# %" PRIu64 " not attributed: the address space was being changed\n",
			(uint64_t)counts->not_attributed);
	if (why_not)
		g_string_append_printf(out, "# bus errors are not seen: %s\n", why_not);
}

/* As JSON */

static void json_truncation(struct json *json, const struct shown *row)
{
	const struct truncation *by = &row->fault->by;
	const struct timespec time = truncation_time(by);
	bool known = by->identified && !row->by_hidden;

	if (!row->fault->cut) {
		format_json_null(json, "truncated");
		return;
	}
	format_json_object(json, "truncated");
	format_json_time(json, "time", &time);
	format_json_number(json, "from", by->from);
	format_json_number(json, "to", by->to);
	format_json_number(json, "pid", row->by_hidden ? UINT64_MAX : (uint64_t)by->pid);
	format_json_number(json, "uid", row->by_hidden || by->uid == NO_UID ? UINT64_MAX : by->uid);
	format_json_bytes(json, "command", row->by_hidden ? "" : by->command);
	format_json_number(json, "born", known ? by->born : UINT64_MAX);
	format_json_bytes(json, "unit", known && *by->unit ? by->unit : "-");
	format_json_end(json);
}

static void json_process(struct json *json, const struct shown *row)
{
	const struct seen_fault *seen = &row->fault->seen;
	g_autofree char *address = g_strdup_printf("%" PRIx64, (uint64_t)seen->address);

	format_json_time(json, "time", &row->fault->time);
	format_json_number(json, "pid", seen->pid);
	format_json_number(json, "uid", seen->uid);
	format_json_bytes(json, "command", seen->command);
	format_json_bytes(json, "unit", row->fault->unit);
	format_json_number(json, "born", row->born);
	format_json_bytes(json, "address", address);
}

static void json_row(const struct shown *row, bool first, GString *out)
{
	const struct seen_fault *seen = &row->fault->seen;
	bool limited = seen->limit > 0;
	struct json json;

	g_string_append(out, first ? "\n" : ",\n");
	format_json_line(&json, out);
	format_json_object(&json, NULL);
	json_process(&json, row);
	format_json_bytes(&json, "kind", row->segment.kind);
	format_json_bytes(&json, "id", row->segment.id);
	format_json_bytes(&json, "name", row->segment.name);
	format_json_number(&json, "offset", seen->offset);
	format_json_number(&json, "size", seen->size);
	format_json_bytes(&json, "cause", fault_cause_name(seen->cause));
	format_json_number(&json, "device_major", major(row->fault->dev));
	format_json_number(&json, "device_minor", minor(row->fault->dev));
	format_json_number(&json, "space", limited ? seen->limit : UINT64_MAX);
	format_json_number(&json, "space_used", limited ? seen->used : UINT64_MAX);
	format_json_bool(&json, "memory_error", seen->flags & FAULT_DAMAGED);
	json_truncation(&json, row);
	format_json_number(&json, "left_out", seen->left_out);
	format_json_end(&json);
}

static void json_end(const struct showing *showing, const struct fault_counts *counts,
	const char *why_not, GString *out)
{
	g_string_append_printf(out,
		"\n],\"not_shown\":%" PRIu64 ",\"left_out\":%" PRIu64
		",\"not_attributed\":%" PRIu64,
		showing->not_shown, (uint64_t)counts->left_out, (uint64_t)counts->not_attributed);
	if (why_not)
		g_string_append_printf(out, ",\"incomplete\":\"%s\"", why_not);
	g_string_append(out, "}\n");
}

/* A file's text: what stands before the rows, a row, and what stands after them. */
struct form {
	const char *head;
	void (*row)(const struct shown *row, bool first, GString *out);
	void (*end)(const struct showing *showing, const struct fault_counts *counts,
		const char *why_not, GString *out);
};

static void show(const struct form *form, const struct view *view, struct faults *faults,
	GString *out)
{
	const char *why_not = faults_why_not(faults);
	g_autoptr(GPtrArray) taken = faults_take(faults);
	struct fault_counts counts = faults_counts(faults);
	struct showing showing;

	take_all(&showing, view, taken);
	g_string_append(out, form->head);
	for (guint i = 0; i < showing.rows->len; i++)
		form->row(&g_array_index(showing.rows, struct shown, i), i == 0, out);
	form->end(&showing, &counts, why_not, out);
	g_array_unref(showing.rows);
}

void fault_rows_show(const struct view *view, struct faults *faults, GString *out)
{
	static const struct form table = {
		"TIME\tPID\tUID\tCOMMAND\tUNIT\tADDRESS\tKIND\tID\tNAME\tOFFSET\tSIZE\tCAUSE\tBORN"
		"\tDETAIL\n",
		text_row,
		text_end,
	};

	show(&table, view, faults, out);
}

void fault_rows_json(const struct view *view, struct faults *faults, GString *out)
{
	static const struct form json = { "{\"faults\":[", json_row, json_end };

	show(&json, view, faults, out);
}

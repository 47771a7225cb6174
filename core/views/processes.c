/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/processes.h"

#include "base/format.h"
#include "base/json.h"
#include "base/util.h"
#include "kinds/incomplete.h"
#include "kinds/realms.h"
#include "views/usage-graph.h"

#include <inttypes.h>
#include <string.h>

struct group_row {
	const char *path, *unit;
	uint64_t processes;
	struct graph_sums sums;
};

struct processes {
	struct usage_graph *graph;
	GArray *rows;   /* of guint32: which processes of the graph are seen, by pid */
	GArray *groups; /* of struct group_row, by path */
	char *incomplete_line, *incomplete_json;
};

static guint32 group_index(struct processes *processes, GHashTable *groups,
	const struct graph_process *process)
{
	struct group_row row = { .path = process->cgroup, .unit = process->unit };
	guint32 index = GPOINTER_TO_UINT(g_hash_table_lookup(groups, process->cgroup));

	if (index > 0)
		return index - 1;
	g_array_append_val(processes->groups, row);
	g_hash_table_insert(groups, (gpointer)row.path, GUINT_TO_POINTER(processes->groups->len));
	return processes->groups->len - 1;
}

/* A group has a segment once, however many of its processes use it. */
static void add_up_groups(struct processes *processes)
{
	g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);
	const struct usage_graph *graph = processes->graph;
	g_autofree guint32 *group_of = g_new0(guint32, graph->processes->len + 1);
	g_autofree guint32 *last = NULL;

	for (guint i = 0; i < graph->processes->len; i++) {
		if (!graph_process_at(graph, i)->seen)
			continue;
		group_of[i] = group_index(processes, groups, graph_process_at(graph, i));
		g_array_index(processes->groups, struct group_row, group_of[i]).processes++;
	}
	last = g_new0(guint32, processes->groups->len + 1);
	for (guint i = 0; i < graph->edges->len; i++) {
		const struct graph_edge *edge = graph_edge_at(graph, i);
		guint32 group = group_of[edge->process];

		if (!graph_process_at(graph, edge->process)->seen)
			continue;
		graph_sums_add(&g_array_index(processes->groups, struct group_row, group).sums,
			edge, graph_segment_at(graph, edge->segment),
			last[group] == edge->segment + 1);
		last[group] = edge->segment + 1;
	}
}

static gint by_pid(gconstpointer a, gconstpointer b, gpointer graph)
{
	return graph_process_at(graph, *(const guint32 *)a)->pid -
		graph_process_at(graph, *(const guint32 *)b)->pid;
}

static gint by_path(gconstpointer a, gconstpointer b)
{
	return strcmp(((const struct group_row *)a)->path, ((const struct group_row *)b)->path);
}

/* What is not listed alone. Returns how many kinds could not be listed. */
static unsigned take_realm(struct usage_graph *graph, const struct realm *realm)
{
	struct usage_graph_taking taking = { graph, realm };
	unsigned failures = 0;

	for (const struct kind *const *kind = kinds; *kind; kind++)
		if (!(*kind)->listed_alone && (*kind)->data != DATA_NONE &&
			(*kind)->present(realm) &&
			(*kind)->each(realm, usage_graph_add_used, &taking) < 0)
			failures++;
	return failures;
}

/* Lists what is in the graph, for the caller. */
static void make_rows(struct processes *processes)
{
	struct usage_graph *graph = processes->graph;

	processes->rows = g_array_new(FALSE, FALSE, sizeof(guint32));
	processes->groups = g_array_new(FALSE, FALSE, sizeof(struct group_row));
	for (guint32 i = 0; i < graph->processes->len; i++)
		if (graph_process_at(graph, i)->seen)
			g_array_append_val(processes->rows, i);
	g_array_sort_with_data(processes->rows, by_pid, graph);
	add_up_groups(processes);
	g_array_sort(processes->groups, by_path);
}

static const struct graph_process *process_at(const struct processes *processes, size_t row)
{
	return graph_process_at(processes->graph, g_array_index(processes->rows, guint32, row));
}

/* The last lines of a table: what it lacks. */
static void table_end(const struct processes *processes, GString *out)
{
	g_string_append(out, processes->incomplete_line);
	if (processes->graph->hidden > 0)
		g_string_append_printf(out, "# %" PRIu64 " not shown\n", processes->graph->hidden);
}

static void table_process(const struct graph_process *row, GString *out)
{
	g_string_append_printf(out, "%d\t%u\t", row->pid, row->uid);
	format_escaped(out, row->command);
	g_string_append_c(out, '\t');
	format_escaped(out, row->unit);
	if (row->born > 0)
		g_string_append_printf(out, "\t%" PRIu64, row->born);
	else
		g_string_append(out, "\t-");
	g_string_append_printf(out,
		"\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t",
		row->sums.segments, row->sums.mappings, row->sums.descriptors, row->sums.size,
		row->sums.share);
	format_escaped(out, *row->cmdline ? row->cmdline : "-");
	g_string_append_c(out, '\n');
}

static void format_process_table(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;

	if (row == 0)
		g_string_append(out,
			"PID\tUID\tCOMMAND\tUNIT\tBORN\tSEGMENTS\tMAPPINGS\tDESCRIPTORS\tSIZE\t"
			"SHARE\tCMDLINE\n");
	else if (row <= processes->rows->len)
		table_process(process_at(processes, row - 1), out);
	else
		table_end(processes, out);
}

static const struct group_row *group_at(const struct processes *processes, size_t index)
{
	return &g_array_index(processes->groups, struct group_row, index);
}

static void table_group(const struct group_row *row, GString *out)
{
	format_escaped(out, *row->path ? row->path : "-");
	g_string_append_c(out, '\t');
	format_escaped(out, row->unit);
	g_string_append_printf(out, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n",
		row->processes, row->sums.segments, row->sums.size, row->sums.share);
}

static void format_group_table(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;

	if (row == 0)
		g_string_append(out, "CGROUP\tUNIT\tPROCESSES\tSEGMENTS\tSIZE\tSHARE\n");
	else if (row <= processes->groups->len)
		table_group(group_at(processes, row - 1), out);
	else
		table_end(processes, out);
}

static void json_process(struct json *json, const struct graph_process *row)
{
	format_json_number(json, "pid", row->pid);
	format_json_number(json, "uid", row->uid);
	format_json_bytes(json, "command", row->command);
	format_json_bytes(json, "unit", row->unit);
	format_json_number(json, "born", row->born > 0 ? row->born : UINT64_MAX);
	format_json_number(json, "segments", row->sums.segments);
	format_json_number(json, "mappings", row->sums.mappings);
	format_json_number(json, "descriptors", row->sums.descriptors);
	format_json_number(json, "size", row->sums.size);
	format_json_number(json, "share", row->sums.share);
	format_json_bytes(json, "cmdline", row->cmdline);
}

static void json_group(struct json *json, const struct group_row *row)
{
	format_json_bytes(json, "cgroup", row->path);
	format_json_bytes(json, "unit", row->unit);
	format_json_number(json, "processes", row->processes);
	format_json_number(json, "segments", row->sums.segments);
	format_json_number(json, "size", row->sums.size);
	format_json_number(json, "share", row->sums.share);
}

static void json_end(const struct processes *processes, GString *out)
{
	g_string_append_printf(out, "\n],\"not_shown\":%" PRIu64 ",%s}\n", processes->graph->hidden,
		processes->incomplete_json);
}

static void begin_object(struct json *json, bool first, GString *out)
{
	g_string_append(out, first ? "\n" : ",\n");
	format_json_line(json, out);
	format_json_object(json, NULL);
}

static void format_process_json(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;
	struct json json;

	if (row == 0) {
		g_string_append(out, "{\"processes\":[");
	} else if (row > processes->rows->len) {
		json_end(processes, out);
	} else {
		begin_object(&json, row == 1, out);
		json_process(&json, process_at(processes, row - 1));
		format_json_end(&json);
	}
}

static void format_group_json(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;
	struct json json;

	if (row == 0) {
		g_string_append(out, "{\"cgroups\":[");
	} else if (row > processes->groups->len) {
		json_end(processes, out);
	} else {
		begin_object(&json, row == 1, out);
		json_group(&json, group_at(processes, row - 1));
		format_json_end(&json);
	}
}

static size_t count_bytes(const struct processes *processes)
{
	return processes->rows->len * sizeof(guint32) +
		processes->groups->len * sizeof(struct group_row) +
		usage_graph_bytes(processes->graph);
}

static void free_snapshot(void *snapshot)
{
	struct processes *processes = snapshot;
	size_t bytes = count_bytes(processes);

	g_array_unref(processes->rows);
	g_array_unref(processes->groups);
	usage_graph_free(processes->graph);
	g_free(processes->incomplete_line);
	g_free(processes->incomplete_json);
	g_free(processes);
	memory_freed(bytes);
}

/* A header, the rows, and an end. */
static struct view_rows view_as(struct processes *processes, enum processes_form form)
{
	static void (*const formats[])(const void *snapshot, size_t row, GString *out) = {
		[PROCESSES_TABLE] = format_process_table,
		[PROCESSES_JSON] = format_process_json,
		[CGROUPS_TABLE] = format_group_table,
		[CGROUPS_JSON] = format_group_json,
	};
	bool groups = form == CGROUPS_TABLE || form == CGROUPS_JSON;

	return (struct view_rows){
		.n = (groups ? processes->groups->len : processes->rows->len) + 2,
		.bytes = count_bytes(processes),
		.snapshot = processes,
		.format = formats[form],
		.free = free_snapshot,
	};
}

int processes_take(const struct realm *own, const struct caller *caller, enum processes_form form,
	struct budget *budget, struct view_rows *out)
{
	/* Before the census, which counts what is in their file systems from its next pass on. */
	g_autoptr(GArray) others = NULL;
	g_autoptr(GArray) listed = NULL;
	struct processes *processes;
	struct usage_graph *graph;
	unsigned failures;
	int r = realms_open_all(own, NULL, &others);

	if (r < 0)
		return r;
	listed = usage_graph_listed_new();
	failures = usage_graph_list(own, budget, listed);
	for (guint i = 0; i < others->len; i++)
		failures += usage_graph_list(&g_array_index(others, struct opened_realm, i).realm,
			budget, listed);
	r = census_hold(own->census, CENSUS_MAPPINGS | CENSUS_DESCRIPTORS);
	if (r < 0)
		return r;
	processes = g_new0(struct processes, 1);
	processes->graph = graph = usage_graph_new(own->census, budget);
	usage_graph_add_listed(graph, listed);
	failures += take_realm(graph, own);
	for (guint i = 0; i < others->len; i++)
		failures += take_realm(graph, &g_array_index(others, struct opened_realm, i).realm);
	incomplete_texts(own->census, failures, &processes->incomplete_line,
		&processes->incomplete_json);
	census_release(own->census);
	usage_graph_look(graph, own->proc, caller);
	make_rows(processes);
	*out = view_as(processes, form);
	return 0;
}

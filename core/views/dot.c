/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/dot.h"

#include "views/segments.h"
#include "caller/sight.h"
#include "base/format.h"
#include "procfs/process-facts.h"

#include <inttypes.h>
#include <string.h>

/* Stands for all processes that are not shown. */
#define HIDDEN 0

struct dot_process {
	pid_t pid;
	const char *command;
	const char *unit; /* NULL: none */
	bool seen;
};

struct edge {
	guint32 segment, process; /* indices */
	bool descriptor;
	uint64_t count;
};

struct dot {
	struct segments *segments;
	GArray *processes; /* of struct dot_process; the first one is HIDDEN */
	GArray *order;     /* of guint32: indices of the processes that are shown, by unit */
	GArray *edges;     /* of struct edge, those of a segment and of one sort together */
	GStringChunk *commands;
	size_t command_bytes;
	uint64_t hidden_processes, hidden_mappings, hidden_descriptors;
};

struct taking {
	const struct realm *realm;
	struct dot *dot;
	GHashTable *indices; /* pid: index of the process */
	guint32 segment;     /* the one that is being looked at */
};

static const char *keep(struct dot *dot, const char *text)
{
	dot->command_bytes += strlen(text) + 1;
	return g_string_chunk_insert(dot->commands, text);
}

static guint32 process_index(const struct taking *taking, pid_t pid, const char *command)
{
	struct dot_process process = { .pid = pid };
	guint32 index =
		GPOINTER_TO_UINT(g_hash_table_lookup(taking->indices, GINT_TO_POINTER(pid)));

	if (index)
		return index;
	index = taking->dot->processes->len;
	process.command = keep(taking->dot, command);
	g_array_append_val(taking->dot->processes, process);
	g_hash_table_insert(taking->indices, GINT_TO_POINTER(pid), GUINT_TO_POINTER(index));
	return index;
}

static struct edge *edge_at(const GArray *edges, guint index)
{
	return &g_array_index(edges, struct edge, index);
}

/* The rows of one process come one after the other. */
static void add_row(const struct taking *taking, guint32 process, bool descriptor)
{
	struct edge edge = { taking->segment, process, descriptor, 1 };
	GArray *edges = taking->dot->edges;
	struct edge *last = edges->len > 0 ? edge_at(edges, edges->len - 1) : NULL;

	if (last && last->segment == edge.segment && last->process == process &&
		last->descriptor == descriptor)
		last->count++;
	else
		g_array_append_val(edges, edge);
}

static void add_mapping(const struct mapping_row *row, void *data)
{
	add_row(data, process_index(data, row->pid, row->command), false);
}

static void add_descriptor(const struct descriptor_row *row, void *data)
{
	add_row(data, process_index(data, row->pid, row->command), true);
}

static void add_segment(const struct item *item, void *data)
{
	struct taking *taking = data;

	census_each_mapping(taking->realm->census, &item->key, add_mapping, taking);
	census_each_descriptor(taking->realm->census, &item->key, add_descriptor, taking);
	taking->segment++;
}

static gint by_unit(gconstpointer a, gconstpointer b, gpointer data)
{
	const GArray *processes = data;
	guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
	gint r = g_strcmp0(g_array_index(processes, struct dot_process, x).unit,
		g_array_index(processes, struct dot_process, y).unit);

	return r ? r : (x > y) - (x < y);
}

/* Keeps only the names of processes that the caller sees. */
static void look_as(struct dot *dot, const char *proc, const struct caller *caller)
{
	struct caller_sight sight;
	struct process_facts facts = { 0 };

	caller_sight_begin(&sight, proc, caller);
	for (guint i = HIDDEN + 1; i < dot->processes->len; i++) {
		struct dot_process *process = &g_array_index(dot->processes, struct dot_process, i);

		process->seen = caller_sees_memory(&sight, process->pid);
		if (process->seen) {
			process_facts_read(proc, process->pid, &facts);
			process->unit = strcmp(facts.unit, "-") == 0 ? NULL : keep(dot, facts.unit);
			g_array_append_val(dot->order, i);
		} else {
			*process = (struct dot_process){ 0 };
			dot->hidden_processes++;
		}
	}
	caller_sight_end(&sight);
	g_array_sort_with_data(dot->order, by_unit, dot->processes);
}

/* Merges all edges of one sort from hidden processes to a segment into a single one. */
static void merge_hidden(struct dot *dot)
{
	struct edge *merged = NULL;
	guint kept = 0;

	for (guint i = 0; i < dot->edges->len; i++) {
		struct edge *edge = edge_at(dot->edges, i);
		bool seen = g_array_index(dot->processes, struct dot_process, edge->process).seen;

		if (!seen) {
			*(edge->descriptor ? &dot->hidden_descriptors : &dot->hidden_mappings) +=
				edge->count;
			edge->process = HIDDEN;
		}
		if (!seen && merged && merged->segment == edge->segment &&
			merged->descriptor == edge->descriptor) {
			merged->count += edge->count;
			continue;
		}
		*edge_at(dot->edges, kept) = *edge;
		if (!seen)
			merged = edge_at(dot->edges, kept);
		kept++;
	}
	g_array_set_size(dot->edges, kept);
}

static void render_head(const struct dot *dot, GString *out)
{
	const struct census_report *report = segments_report(dot->segments);

	g_string_append(out, "// Solid: mappings; dashed: descriptors; with their number.\n");
	if (segments_failures(dot->segments) > 0)
		g_string_append_printf(out, "// Kinds that could not be listed: %u.\n",
			segments_failures(dot->segments));
	if (report->unreadable > 0)
		g_string_append_printf(out, "// Processes that could not be read: %" PRIu64 ".\n",
			report->unreadable);
	if (report->inconsistent > 0)
		g_string_append_printf(out,
			"// Address spaces that changed all the while: %" PRIu64 ".\n",
			report->inconsistent);
	if (report->incomplete_view)
		g_string_append_printf(out, "// Others may be invisible: %s.\n",
			report->incomplete_view);
	if (dot->hidden_processes > 0)
		g_string_append_printf(out,
			"// Not shown: %" PRIu64 " processes, %" PRIu64 " mappings, %" PRIu64
			" descriptors.\n",
			dot->hidden_processes, dot->hidden_mappings, dot->hidden_descriptors);
	g_string_append(out, "digraph shmtree {\n\trankdir=LR;\n\tnode [shape=box];\n");
}

static void render_segment(const struct segments_row *row, size_t index, GString *out)
{
	g_string_append_printf(out, "\ts%zu [label=\"%s\\n", index, row->label);
	format_dot(out, row->id);
	if (*row->name && strcmp(row->name, row->id) != 0) {
		g_string_append(out, "\\n");
		format_dot(out, row->name);
	}
	g_string_append_printf(out, "\\n%" PRIu64 " bytes\\n%s\"];\n", row->size,
		segment_state_name(row->state));
}

static void render_process(const struct dot_process *process, GString *out)
{
	g_string_append_printf(out, "\tp%d [shape=ellipse,label=\"%d\\n", process->pid,
		process->pid);
	format_dot(out, process->command);
	g_string_append(out, "\"];\n");
}

static const struct dot_process *shown_at(const struct dot *dot, size_t at)
{
	guint32 index = g_array_index(dot->order, guint32, at);

	return &g_array_index(dot->processes, struct dot_process, index);
}

/* Those of one unit come one after the other, in a box. */
static void render_shown(const struct dot *dot, size_t at, GString *out)
{
	const struct dot_process *process = shown_at(dot, at);
	const char *before = at > 0 ? shown_at(dot, at - 1)->unit : NULL;
	const char *after = at + 1 < dot->order->len ? shown_at(dot, at + 1)->unit : NULL;

	if (process->unit && g_strcmp0(process->unit, before) != 0) {
		g_string_append_printf(out, "\tsubgraph cluster_%zu {\n\tlabel=\"", at);
		format_dot(out, process->unit);
		g_string_append(out, "\";\n");
	}
	render_process(process, out);
	if (process->unit && g_strcmp0(process->unit, after) != 0)
		g_string_append(out, "\t}\n");
}

static void render_hidden(const struct dot *dot, GString *out)
{
	if (dot->hidden_processes > 0)
		g_string_append_printf(out,
			"\thidden [shape=plaintext,label=\"processes not shown: %" PRIu64 "\"];\n",
			dot->hidden_processes);
}

static void render_edge(const struct dot *dot, const struct edge *edge, GString *out)
{
	if (edge->process == HIDDEN)
		g_string_append(out, "\thidden");
	else
		g_string_append_printf(out, "\tp%d",
			g_array_index(dot->processes, struct dot_process, edge->process).pid);
	g_string_append_printf(out, " -> s%u [label=\"%" PRIu64 "\"%s];\n", edge->segment,
		edge->count, edge->descriptor ? ",style=dashed" : "");
}

static void format_row(const void *snapshot, size_t row, GString *out)
{
	const struct dot *dot = snapshot;
	size_t segments = segments_count(dot->segments);
	struct segments_row segment;

	if (row == 0) {
		render_head(dot, out);
		return;
	}
	row--;
	if (row < segments) {
		segments_get(dot->segments, row, &segment);
		render_segment(&segment, row, out);
		return;
	}
	row -= segments;
	if (row < 1 + dot->order->len) {
		if (row == 0)
			render_hidden(dot, out);
		else
			render_shown(dot, row - 1, out);
		return;
	}
	row -= 1 + dot->order->len;
	if (row < dot->edges->len)
		render_edge(dot, edge_at(dot->edges, row), out);
	else
		g_string_append(out, "}\n");
}

static void free_snapshot(void *snapshot)
{
	struct dot *dot = snapshot;

	if (dot->segments)
		segments_free(dot->segments);
	g_array_unref(dot->processes);
	g_array_unref(dot->edges);
	g_array_unref(dot->order);
	g_string_chunk_free(dot->commands);
	g_free(dot);
}

/* The head, the segments, what is hidden, the processes that are not, the edges, and the end. */
static size_t count_rows(const struct dot *dot)
{
	return 1 + segments_count(dot->segments) + 1 + dot->order->len + dot->edges->len + 1;
}

static struct view_rows view_of(struct dot *dot)
{
	return (struct view_rows){
		.n = count_rows(dot),
		.bytes = segments_bytes(dot->segments) +
			dot->processes->len * sizeof(struct dot_process) +
			dot->order->len * sizeof(guint32) + dot->edges->len * sizeof(struct edge) +
			dot->command_bytes,
		.snapshot = dot,
		.format = format_row,
		.free = free_snapshot,
	};
}

int dot_take(const struct realm *realm, const struct caller *caller, struct budget *budget,
	struct view_rows *out)
{
	g_autoptr(GHashTable) indices = g_hash_table_new(NULL, NULL);
	struct dot *dot = g_new0(struct dot, 1);
	struct taking taking = { realm, dot, indices, 0 };
	const struct segments_also also = { .visit = add_segment, .data = &taking };
	struct dot_process hidden = { 0 };
	int r;

	dot->processes = g_array_new(FALSE, FALSE, sizeof(struct dot_process));
	dot->edges = g_array_new(FALSE, FALSE, sizeof(struct edge));
	dot->order = g_array_new(FALSE, FALSE, sizeof(guint32));
	dot->commands = g_string_chunk_new(1024);
	g_array_append_val(dot->processes, hidden);
	r = segments_take(realm, budget, &also, &dot->segments);
	if (r < 0) {
		free_snapshot(dot);
		return r;
	}
	look_as(dot, realm->proc, caller);
	merge_hidden(dot);
	*out = view_of(dot);
	return 0;
}

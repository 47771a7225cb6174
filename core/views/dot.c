/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/dot.h"

#include "caller/sight.h"
#include "base/format.h"

#include <inttypes.h>
#include <string.h>

/* Stands for all processes that are not shown. */
#define HIDDEN 0

struct graph_process {
	pid_t pid;
	const char *command; /* the census's, until it is known whether it is shown */
	bool seen;
};

struct edge {
	guint32 segment, process; /* indices */
	bool descriptor;
	uint64_t count;
};

struct graph {
	struct listing *listing;
	GArray *processes; /* of struct graph_process; the first one is HIDDEN */
	GArray *edges;     /* of struct edge, those of a segment and of one sort together */
	GStringChunk *commands;
	size_t command_bytes;
	uint64_t hidden_processes, hidden_mappings, hidden_descriptors;
	struct census_report report;
};

struct taking {
	const struct realm *realm;
	struct graph *graph;
	GHashTable *indices; /* pid: index of the process */
	guint32 segment;     /* the one that is being looked at */
};

static guint32 process_index(const struct taking *taking, pid_t pid, const char *command)
{
	struct graph_process process = { .pid = pid, .command = command };
	guint32 index =
		GPOINTER_TO_UINT(g_hash_table_lookup(taking->indices, GINT_TO_POINTER(pid)));

	if (index)
		return index;
	index = taking->graph->processes->len;
	g_array_append_val(taking->graph->processes, process);
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
	GArray *edges = taking->graph->edges;
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

/* Keeps the names of those alone that the caller sees. */
static void look_as(struct graph *graph, const char *proc, const struct caller *caller)
{
	struct caller_sight sight;

	caller_sight_begin(&sight, proc, caller);
	for (guint i = HIDDEN + 1; i < graph->processes->len; i++) {
		struct graph_process *process =
			&g_array_index(graph->processes, struct graph_process, i);

		process->seen = caller_sees_memory(&sight, process->pid);
		if (process->seen) {
			process->command = g_string_chunk_insert(graph->commands, process->command);
			graph->command_bytes += strlen(process->command) + 1;
		} else {
			*process = (struct graph_process){ 0 };
			graph->hidden_processes++;
		}
	}
	caller_sight_end(&sight);
}

/* Makes all edges of one sort from what is not shown to one segment a single one. */
static void merge_hidden(struct graph *graph)
{
	struct edge *merged = NULL;
	guint kept = 0;

	for (guint i = 0; i < graph->edges->len; i++) {
		struct edge *edge = edge_at(graph->edges, i);
		bool seen =
			g_array_index(graph->processes, struct graph_process, edge->process).seen;

		if (!seen) {
			*(edge->descriptor ? &graph->hidden_descriptors :
					     &graph->hidden_mappings) += edge->count;
			edge->process = HIDDEN;
		}
		if (!seen && merged && merged->segment == edge->segment &&
			merged->descriptor == edge->descriptor) {
			merged->count += edge->count;
			continue;
		}
		*edge_at(graph->edges, kept) = *edge;
		if (!seen)
			merged = edge_at(graph->edges, kept);
		kept++;
	}
	g_array_set_size(graph->edges, kept);
}

struct graph *graph_take(const struct realm *realm, const struct caller *caller)
{
	g_autoptr(GHashTable) indices = g_hash_table_new(NULL, NULL);
	struct graph *graph = g_new0(struct graph, 1);
	struct taking taking = { realm, graph, indices, 0 };
	struct graph_process hidden = { 0 };

	graph->processes = g_array_new(FALSE, FALSE, sizeof(struct graph_process));
	graph->edges = g_array_new(FALSE, FALSE, sizeof(struct edge));
	graph->commands = g_string_chunk_new(1024);
	graph->report = census_report(realm->census);
	g_array_append_val(graph->processes, hidden);
	graph->listing = listing_take_with(realm, add_segment, &taking);
	look_as(graph, realm->proc, caller);
	merge_hidden(graph);
	return graph;
}

void graph_free(struct graph *graph)
{
	listing_free(graph->listing);
	g_array_unref(graph->processes);
	g_array_unref(graph->edges);
	g_string_chunk_free(graph->commands);
	g_free(graph);
}

/* The head, the nodes (the first process is all that are hidden), the edges, and the end. */
size_t graph_rows(const struct graph *graph)
{
	return 1 + listing_segments(graph->listing) + graph->processes->len + graph->edges->len + 1;
}

size_t graph_bytes(const struct graph *graph)
{
	return listing_bytes(graph->listing) +
		graph->processes->len * sizeof(struct graph_process) +
		graph->edges->len * sizeof(struct edge) + graph->command_bytes;
}

static void render_head(const struct graph *graph, GString *out)
{
	g_string_append(out, "// Solid: mappings; dashed: descriptors; with their number.\n");
	if (listing_failures(graph->listing) > 0)
		g_string_append_printf(out, "// Kinds that could not be listed: %u.\n",
			listing_failures(graph->listing));
	if (graph->report.unreadable > 0)
		g_string_append_printf(out, "// Processes that could not be read: %" PRIu64 ".\n",
			graph->report.unreadable);
	if (graph->report.restless > 0)
		g_string_append_printf(out,
			"// Address spaces that changed all the while: %" PRIu64 ".\n",
			graph->report.restless);
	if (graph->report.blind)
		g_string_append_printf(out, "// Others may be invisible: %s.\n",
			graph->report.blind);
	if (graph->hidden_processes > 0)
		g_string_append_printf(out,
			"// Not shown: %" PRIu64 " processes, %" PRIu64 " mappings, %" PRIu64
			" descriptors.\n",
			graph->hidden_processes, graph->hidden_mappings, graph->hidden_descriptors);
	g_string_append(out, "digraph shmtree {\n\trankdir=LR;\n\tnode [shape=box];\n");
}

static void render_segment(const struct listing_row *row, size_t index, GString *out)
{
	g_string_append_printf(out, "\ts%zu [label=\"%s\\n", index, row->label);
	render_dot(out, row->id);
	if (*row->name && strcmp(row->name, row->id) != 0) {
		g_string_append(out, "\\n");
		render_dot(out, row->name);
	}
	g_string_append_printf(out, "\\n%" PRIu64 " bytes\\n%s\"];\n", row->size,
		segment_state_name(row->state));
}

static void render_process(const struct graph_process *process, GString *out)
{
	g_string_append_printf(out, "\tp%d [shape=ellipse,label=\"%d\\n", process->pid,
		process->pid);
	render_dot(out, process->command);
	g_string_append(out, "\"];\n");
}

static void render_hidden(const struct graph *graph, GString *out)
{
	if (graph->hidden_processes > 0)
		g_string_append_printf(out,
			"\thidden [shape=plaintext,label=\"processes not shown: %" PRIu64 "\"];\n",
			graph->hidden_processes);
}

static void render_edge(const struct graph *graph, const struct edge *edge, GString *out)
{
	if (edge->process == HIDDEN)
		g_string_append(out, "\thidden");
	else
		g_string_append_printf(out, "\tp%d",
			g_array_index(graph->processes, struct graph_process, edge->process).pid);
	g_string_append_printf(out, " -> s%u [label=\"%" PRIu64 "\"%s];\n", edge->segment,
		edge->count, edge->descriptor ? ",style=dashed" : "");
}

void graph_render(const struct graph *graph, size_t row, GString *out)
{
	size_t segments = listing_segments(graph->listing);
	const struct graph_process *process;

	if (row == 0) {
		render_head(graph, out);
		return;
	}
	row--;
	if (row < segments) {
		render_segment(listing_segment(graph->listing, row), row, out);
		return;
	}
	row -= segments;
	if (row < graph->processes->len) {
		process = &g_array_index(graph->processes, struct graph_process, row);
		if (row == HIDDEN)
			render_hidden(graph, out);
		else if (process->seen)
			render_process(process, out);
		return;
	}
	row -= graph->processes->len;
	if (row < graph->edges->len)
		render_edge(graph, edge_at(graph->edges, row), out);
	else
		g_string_append(out, "}\n");
}

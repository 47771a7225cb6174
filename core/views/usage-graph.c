/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/usage-graph.h"

#include "caller/sight.h"
#include "procfs/process-facts.h"

#include <string.h>

struct usage_graph *usage_graph_new(struct census *census, struct budget *budget)
{
	struct usage_graph *graph = g_new0(struct usage_graph, 1);

	graph->processes = g_array_new(FALSE, FALSE, sizeof(struct graph_process));
	graph->edges = g_array_new(FALSE, FALSE, sizeof(struct graph_edge));
	graph->segments = g_array_new(FALSE, FALSE, sizeof(struct graph_segment));
	graph->indices = g_hash_table_new(NULL, NULL);
	graph->linked = g_hash_table_new_full(segment_key_hash, segment_key_equal, g_free, NULL);
	graph->strings = g_string_chunk_new(4096);
	graph->census = census;
	graph->budget = budget;
	return graph;
}

void usage_graph_free(struct usage_graph *graph)
{
	g_array_unref(graph->processes);
	g_array_unref(graph->edges);
	g_array_unref(graph->segments);
	g_hash_table_unref(graph->indices);
	g_hash_table_unref(graph->linked);
	g_string_chunk_free(graph->strings);
	g_free(graph);
}

size_t usage_graph_bytes(const struct usage_graph *graph)
{
	return graph->processes->len * sizeof(struct graph_process) +
		graph->edges->len * sizeof(struct graph_edge) +
		graph->segments->len * sizeof(struct graph_segment) + graph->string_bytes;
}

/* A string that lives as long as the graph: one for all that are alike. */
static const char *keep(struct usage_graph *graph, const char *text)
{
	const char *kept = g_string_chunk_insert_const(graph->strings, text);

	graph->string_bytes += strlen(text) + 1;
	return kept;
}

/* The index of the process, which is added if it is new; false: the budget does not allow that. */
static bool process_index(struct usage_graph *graph, pid_t pid, uid_t uid, const char *command,
	guint32 *index)
{
	struct graph_process process = { .pid = pid, .uid = uid };
	guint32 known = GPOINTER_TO_UINT(g_hash_table_lookup(graph->indices, GINT_TO_POINTER(pid)));

	if (known == 0) {
		if (!budget_use(graph->budget, sizeof process + strlen(command) + 1))
			return false;
		process.command = keep(graph, command);
		g_array_append_val(graph->processes, process);
		known = graph->processes->len;
		g_hash_table_insert(graph->indices, GINT_TO_POINTER(pid), GUINT_TO_POINTER(known));
	}
	*index = known - 1;
	return true;
}

/* The edge between the process and the segment that was added last; NULL: as above. */
static struct graph_edge *edge_of(struct usage_graph *graph, pid_t pid, uid_t uid,
	const char *command)
{
	struct graph_edge fresh = { .segment = graph->segments->len - 1 };
	struct graph_process *process;

	if (!process_index(graph, pid, uid, command, &fresh.process))
		return NULL;
	process = graph_process_at(graph, fresh.process);
	if (process->last_edge == 0 ||
		graph_edge_at(graph, process->last_edge - 1)->segment != fresh.segment) {
		if (!budget_use(graph->budget, sizeof fresh))
			return NULL;
		g_array_append_val(graph->edges, fresh);
		process->last_edge = graph->edges->len;
	}
	return graph_edge_at(graph, process->last_edge - 1);
}

static void add_mapping(const struct mapping_row *row, void *data)
{
	struct graph_edge *edge = edge_of(data, row->pid, row->uid, row->command);

	if (edge)
		edge->mappings++;
}

static void add_descriptor(const struct descriptor_row *row, void *data)
{
	struct graph_edge *edge = edge_of(data, row->pid, row->uid, row->command);

	if (edge)
		edge->descriptors++;
}

void usage_graph_add(const struct item *item, void *data)
{
	struct usage_graph *graph = data;
	struct graph_segment segment = { .first = graph->edges->len };
	const struct segment_key *key = &item->key;

	if (!budget_use(graph->budget, sizeof segment))
		return;
	g_array_append_val(graph->segments, segment);
	if (item->links > 1 && !g_hash_table_add(graph->linked, g_memdup2(key, sizeof *key)))
		return;
	census_each_mapping(graph->census, key, add_mapping, graph);
	census_each_descriptor(graph->census, key, add_descriptor, graph);
	graph_segment_at(graph, graph->segments->len - 1)->users =
		graph->edges->len - segment.first;
}

void usage_graph_weigh(struct usage_graph *graph, guint index, uint64_t size, uint64_t memory)
{
	if (index >= graph->segments->len)
		return;
	graph_segment_at(graph, index)->size = size;
	graph_segment_at(graph, index)->memory = memory;
}

static uint64_t memory_of(const struct realm *realm, const struct item *item)
{
	struct item full = *item;

	if (full.resident == BYTES_UNKNOWN && item->kind->residency)
		item->kind->residency(realm, &full);
	if (full.resident == BYTES_UNKNOWN)
		return full.allocated == BYTES_UNKNOWN ? 0 : full.allocated;
	return full.resident + (full.swapped == BYTES_UNKNOWN ? 0 : full.swapped);
}

void usage_graph_add_used(const struct item *item, void *data)
{
	const struct usage_graph_taking *taking = data;
	struct usage_graph *graph = taking->graph;
	struct usage usage;

	if (!item->segment)
		return;
	if (item->links == 0 && g_hash_table_contains(graph->linked, &item->key))
		return;
	usage = census_usage(graph->census, &item->key);
	if (usage.mappings == 0 && usage.openers == 0)
		return;
	usage_graph_add(item, graph);
	usage_graph_weigh(graph, graph->segments->len - 1, item->size,
		memory_of(taking->realm, item));
}

/* A file as it was listed, in as few bytes as will do: there may be a million. */
struct listed_file {
	uint64_t dev, ino, size, memory;
	unsigned links;
};

struct listing {
	const struct realm *realm;
	struct budget *budget;
	GArray *files; /* of struct listed_file */
};

GArray *usage_graph_listed_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct listed_file));
}

static void list_file(const struct item *item, void *data)
{
	const struct listing *listing = data;
	const struct listed_file file = {
		.dev = item->key.dev,
		.ino = item->key.ino,
		.size = item->size,
		.memory = item->allocated == BYTES_UNKNOWN ? memory_of(listing->realm, item) :
							     item->allocated,
		.links = item->links,
	};

	if (item->segment && budget_use(listing->budget, sizeof file))
		g_array_append_val(listing->files, file);
}

unsigned usage_graph_list(const struct realm *realm, struct budget *budget, GArray *listed)
{
	struct listing listing = { realm, budget, listed };
	unsigned failures = 0;

	for (const struct kind *const *kind = kinds; *kind; kind++)
		if ((*kind)->listed_alone && (*kind)->present(realm) &&
			(*kind)->each(realm, list_file, &listing) < 0)
			failures++;
	return failures;
}

static void add_listed(struct usage_graph *graph, const struct listed_file *file)
{
	const struct item item = {
		.segment = true,
		.key = { .dev = file->dev, .ino = file->ino, .class = SEGMENT_FILE },
		.links = file->links,
	};
	struct usage usage = census_usage(graph->census, &item.key);

	if (usage.mappings == 0 && usage.openers == 0)
		return;
	usage_graph_add(&item, graph);
	usage_graph_weigh(graph, graph->segments->len - 1, file->size, file->memory);
	/* It may have lost its name since, and is then among those without. */
	g_hash_table_add(graph->linked, g_memdup2(&item.key, sizeof item.key));
}

void usage_graph_add_listed(struct usage_graph *graph, const GArray *listed)
{
	for (guint i = 0; i < listed->len; i++)
		add_listed(graph, &g_array_index(listed, struct listed_file, i));
}

void graph_sums_add(struct graph_sums *sums, const struct graph_edge *edge,
	const struct graph_segment *segment, bool counted)
{
	sums->mappings += edge->mappings;
	sums->descriptors += edge->descriptors;
	sums->share += segment->memory / segment->users;
	if (counted)
		return;
	sums->segments++;
	sums->size += segment->size;
}

void usage_graph_each_share(const struct usage_graph *graph,
	void (*visit)(pid_t pid, uint64_t share, void *data), void *data)
{
	g_autofree struct graph_sums *sums = g_new0(struct graph_sums, graph->processes->len + 1);

	for (guint i = 0; i < graph->edges->len; i++) {
		const struct graph_edge *edge = graph_edge_at(graph, i);

		graph_sums_add(&sums[edge->process], edge, graph_segment_at(graph, edge->segment),
			false);
	}
	for (guint i = 0; i < graph->processes->len; i++)
		visit(graph_process_at(graph, i)->pid, sums[i].share, data);
}

/* Each edge of a process is of another segment. */
static void add_up(struct usage_graph *graph)
{
	for (guint i = 0; i < graph->edges->len; i++) {
		const struct graph_edge *edge = graph_edge_at(graph, i);

		graph_sums_add(&graph_process_at(graph, edge->process)->sums, edge,
			graph_segment_at(graph, edge->segment), false);
	}
}

void usage_graph_look(struct usage_graph *graph, const char *proc, const struct caller *caller)
{
	struct process_facts facts = { 0 };
	struct caller_sight sight;

	caller_sight_begin(&sight, proc, caller);
	for (guint i = 0; i < graph->processes->len; i++) {
		struct graph_process *process = graph_process_at(graph, i);

		process->seen = caller_sees_memory(&sight, process->pid);
		if (!process->seen) {
			*process = (struct graph_process){ 0 };
			graph->hidden++;
			continue;
		}
		process_facts_read(proc, process->pid, &facts);
		process->unit = keep(graph, facts.unit);
		process->cmdline = keep(graph, facts.cmdline);
		process->cgroup = keep(graph, facts.cgroup);
		process->born = facts.born;
	}
	caller_sight_end(&sight);
	add_up(graph);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which process uses which segment, at one instant: what `processes`, `graph.dot` and `report.html` show, each
 * in its own form.
 *
 * Segments are added one after the other while the census is held; usage_graph_look() then learns which
 * processes the caller sees, by the rule of `mappers` (caller/sight.h), and what is said of those. Of the others
 * nothing is kept but that there are so many.
 */
#pragma once

#include "caller/caller.h"
#include "kinds/kind.h"
#include "base/packed.h"

#include <glib.h>

/* What a process, or several, have of the segments. */
struct graph_sums {
	uint64_t segments, mappings, descriptors;
	uint64_t size;  /* bytes, of the segments in full */
	uint64_t share; /* bytes: the memory of each, divided by the processes that use it */
};

/* The strings live as long as the graph. Of a process that is not seen all but `seen` means nothing. */
struct graph_process {
	pid_t pid;
	uid_t uid;
	bool seen;
	const char *command, *unit, *cmdline, *cgroup; /* as in struct process_facts */
	uint64_t born;
	struct graph_sums sums;
	guint32 last_edge; /* index of its last one, plus 1 */
};

/* One process's part of one segment. Those of a segment stand together. */
struct graph_edge {
	guint32 segment, process; /* indices */
	uint64_t mappings, descriptors;
};

struct graph_segment {
	uint64_t size, memory; /* bytes */
	guint32 first;         /* index of its first edge */
	guint32 users;         /* how many edges it has: processes that use it */
};

struct usage_graph {
	GArray *processes; /* of struct graph_process, as they were found */
	GArray *edges;     /* of struct graph_edge */
	GArray *segments;  /* of struct graph_segment, as they were added */
	uint64_t hidden;   /* processes that the caller may not see */
	/* The rest belongs to usage-graph.c. */
	GHashTable *indices; /* pid: index of the process, plus 1 */
	GHashTable *linked;  /* keys of the objects with several names that have been added */
	GStringChunk *strings;
	size_t string_bytes;
	struct census *census;
	struct budget *budget;
};

/* `budget` may be NULL: what it does not allow is missing, look at its error. */
struct usage_graph *usage_graph_new(struct census *census, struct budget *budget);
void usage_graph_free(struct usage_graph *graph);
size_t usage_graph_bytes(const struct usage_graph *graph);

/*
 * An item_visitor: adds a segment with the processes that use it. The census is held. An object with several names has them at
 * the first of its items, and none at the others.
 */
void usage_graph_add(const struct item *item, void *graph);

/*
 * An item_visitor: adds a segment that a process uses, with its size and the memory and swap that it takes, and
 * passes over others. `taking` is a struct usage_graph_taking. The census is held.
 */
struct usage_graph_taking {
	struct usage_graph *graph;
	const struct realm *realm; /* the items' */
};
void usage_graph_add_used(const struct item *item, void *taking);

/*
 * The same in two steps, so that the census is not held while there may be many files to be listed: what a
 * kind lists without the census, as far as the budget allows; and, once the census is held, those of it that a
 * process uses. usage_graph_list() returns how many kinds could not be listed. Free with g_array_unref().
 */
GArray *usage_graph_listed_new(void);
unsigned usage_graph_list(const struct realm *realm, struct budget *budget, GArray *listed);
void usage_graph_add_listed(struct usage_graph *graph, const GArray *listed);

/* Calls `visit` with each process, whoever may see it, and its share (bytes). Before usage_graph_look(). */
void usage_graph_each_share(const struct usage_graph *graph,
	void (*visit)(pid_t pid, uint64_t share, void *data), void *data);

/* Says how large the segment is that was added as the `index`th, and how much memory and swap it takes. */
void usage_graph_weigh(struct usage_graph *graph, guint index, uint64_t size, uint64_t memory);

/* Learns what the caller sees, and adds up the sums of these processes. `proc` is the procfs's path. */
void usage_graph_look(struct usage_graph *graph, const char *proc, const struct caller *caller);

static inline struct graph_process *graph_process_at(const struct usage_graph *graph, guint index)
{
	return &g_array_index(graph->processes, struct graph_process, index);
}

static inline struct graph_edge *graph_edge_at(const struct usage_graph *graph, guint index)
{
	return &g_array_index(graph->edges, struct graph_edge, index);
}

static inline struct graph_segment *graph_segment_at(const struct usage_graph *graph, guint index)
{
	return &g_array_index(graph->segments, struct graph_segment, index);
}

/* Adds an edge to sums; `counted`: the segment is in them already. */
void graph_sums_add(struct graph_sums *sums, const struct graph_edge *edge,
	const struct graph_segment *segment, bool counted);

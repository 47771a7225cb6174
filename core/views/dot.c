/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/dot.h"

#include "base/format.h"
#include "views/segments.h"
#include "views/usage-graph.h"

#include <inttypes.h>
#include <string.h>

/* Up to so many processes each have a node; of more, those of one program and unit are one. */
#define PROCESSES_MAX 40

/* Stands for all processes that are not shown. */
#define HIDDEN 0

/* One process, or those of a program in a unit. */
struct user {
	const char *command, *unit; /* of the graph; unit "-": none */
	pid_t pid;                  /* the first one's */
	guint processes;
};

/* Segments that are drawn as one node. */
struct group {
	guint32 first;       /* row of the first one */
	guint32 first_arrow; /* index of the first arrow to it */
	char *family;        /* of their names */
	enum segment_state state;
	uint64_t segments, size, memory; /* bytes */
};

struct arrow {
	guint32 user, group;
	uint64_t mappings, descriptors;
};

struct dot {
	struct segments *segments;
	struct usage_graph *graph;
	GArray *users;    /* of struct user; the first one is HIDDEN */
	GArray *order;    /* of guint32: those that are shown, by unit */
	GArray *groups;   /* of struct group */
	GArray *arrows;   /* of struct arrow */
	guint32 *user_of; /* of each process of the graph */
	uint64_t hidden_mappings, hidden_descriptors, largest;
};

static struct user *user_at(const struct dot *dot, guint index)
{
	return &g_array_index(dot->users, struct user, index);
}

static struct group *group_at(const struct dot *dot, guint index)
{
	return &g_array_index(dot->groups, struct group, index);
}

static struct arrow *arrow_at(const GArray *arrows, guint index)
{
	return &g_array_index(arrows, struct arrow, index);
}

static uint64_t add_bytes(uint64_t sum, uint64_t more)
{
	return more > UINT64_MAX - sum ? UINT64_MAX : sum + more;
}

static guint seen_processes(const struct usage_graph *graph)
{
	guint seen = 0;

	for (guint i = 0; i < graph->processes->len; i++)
		seen += graph_process_at(graph, i)->seen;
	return seen;
}

static guint32 add_user(struct dot *dot, GHashTable *programs, const struct graph_process *process)
{
	struct user user = { process->command, process->unit, process->pid, 1 };
	g_autofree char *program = g_strdup_printf("%s\n%s", process->unit, process->command);
	guint32 index =
		programs ? GPOINTER_TO_UINT(g_hash_table_lookup(programs, program)) : HIDDEN;

	if (index != HIDDEN) {
		user_at(dot, index)->processes++;
		return index;
	}
	index = dot->users->len;
	g_array_append_val(dot->users, user);
	g_array_append_val(dot->order, index);
	if (programs)
		g_hash_table_insert(programs, g_steal_pointer(&program), GUINT_TO_POINTER(index));
	return index;
}

static gint by_unit(gconstpointer a, gconstpointer b, gpointer data)
{
	guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
	gint r = strcmp(user_at(data, x)->unit, user_at(data, y)->unit);

	return r ? r : (x > y) - (x < y);
}

static void add_users(struct dot *dot)
{
	const struct usage_graph *graph = dot->graph;
	g_autoptr(GHashTable) programs = NULL;
	struct user hidden = { 0 };

	if (seen_processes(graph) > PROCESSES_MAX)
		programs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_array_append_val(dot->users, hidden);
	dot->user_of = g_new0(guint32, graph->processes->len + 1);
	for (guint i = 0; i < graph->processes->len; i++)
		if (graph_process_at(graph, i)->seen)
			dot->user_of[i] = add_user(dot, programs, graph_process_at(graph, i));
	g_array_sort_with_data(dot->order, by_unit, dot);
}

static gint by_user(gconstpointer a, gconstpointer b)
{
	guint32 x = ((const struct arrow *)a)->user, y = ((const struct arrow *)b)->user;

	return (x > y) - (x < y);
}

/* The arrows to a segment, by user: one from each, the mappings and descriptors of all its processes together. */
static void gather(const struct dot *dot, const struct graph_segment *segment, GArray *out)
{
	guint kept = 0;

	g_array_set_size(out, 0);
	for (guint i = segment->first; i < segment->first + segment->users; i++) {
		const struct graph_edge *edge = graph_edge_at(dot->graph, i);
		struct arrow arrow = { dot->user_of[edge->process], 0, edge->mappings,
			edge->descriptors };

		g_array_append_val(out, arrow);
	}
	g_array_sort(out, by_user);
	for (guint i = 0; i < out->len; i++) {
		struct arrow *arrow = &g_array_index(out, struct arrow, i);
		struct arrow *last = kept > 0 ? arrow_at(out, kept - 1) : NULL;

		if (last && last->user == arrow->user) {
			last->mappings += arrow->mappings;
			last->descriptors += arrow->descriptors;
		} else {
			*arrow_at(out, kept++) = *arrow;
		}
	}
	g_array_set_size(out, kept);
}

/* What is equal for segments that are drawn as one. */
static char *likeness(const struct segments_row *row, const char *family, const GArray *arrows)
{
	GString *text = g_string_new(NULL);

	if (row->state == STATE_IDLE)
		return g_string_free(text, FALSE);
	g_string_append_printf(text, "%s %d", row->label, row->state);
	for (guint i = 0; i < arrows->len; i++)
		g_string_append_printf(text, " %u", arrow_at(arrows, i)->user);
	g_string_append_printf(text, " %s", family);
	return g_string_free(text, FALSE);
}

/* The group of a segment, with its arrows; those of one group have the same users. */
static struct group *group_of(struct dot *dot, GHashTable *alike, const struct segments_row *row,
	const GArray *arrows, struct budget *budget)
{
	g_autoptr(GString) family = g_string_new(NULL);
	g_autofree char *key = NULL;
	struct group fresh = { .state = row->state, .first_arrow = dot->arrows->len };
	guint32 known;

	format_family(family, row->name);
	key = likeness(row, family->str, arrows);
	known = GPOINTER_TO_UINT(g_hash_table_lookup(alike, key));
	if (known > 0)
		return group_at(dot, known - 1);
	if (!budget_use(budget, sizeof fresh + strlen(key) + arrows->len * sizeof(struct arrow)))
		return NULL;
	fresh.family = g_strdup(family->str);
	g_array_append_val(dot->groups, fresh);
	for (guint i = 0; i < arrows->len; i++) {
		struct arrow arrow = { arrow_at(arrows, i)->user, dot->groups->len - 1, 0, 0 };

		g_array_append_val(dot->arrows, arrow);
	}
	g_hash_table_insert(alike, g_steal_pointer(&key), GUINT_TO_POINTER(dot->groups->len));
	return group_at(dot, dot->groups->len - 1);
}

static void add_segment(struct dot *dot, struct group *group, guint32 index,
	const struct segments_row *row, const GArray *arrows)
{
	if (group->segments++ == 0)
		group->first = index;
	group->size = add_bytes(group->size, row->size);
	if (row->allocated != BYTES_UNKNOWN)
		group->memory = add_bytes(group->memory, row->allocated);
	dot->largest = MAX(dot->largest, group->memory);
	for (guint i = 0; i < arrows->len; i++) {
		const struct arrow *from = arrow_at(arrows, i);
		struct arrow *to = arrow_at(dot->arrows, group->first_arrow + i);

		to->mappings += from->mappings;
		to->descriptors += from->descriptors;
		if (from->user == HIDDEN) {
			dot->hidden_mappings += from->mappings;
			dot->hidden_descriptors += from->descriptors;
		}
	}
}

/* An object with several names is drawn once. */
static void add_groups(struct dot *dot, struct budget *budget)
{
	g_autoptr(GHashTable) alike = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GArray) arrows = g_array_new(FALSE, FALSE, sizeof(struct arrow));
	struct segments_row row;

	for (guint i = 0; i < dot->graph->segments->len && i < segments_count(dot->segments); i++) {
		struct group *group;

		segments_get(dot->segments, i, &row);
		if (row.repeated)
			continue;
		gather(dot, graph_segment_at(dot->graph, i), arrows);
		if (row.state == STATE_IDLE)
			g_array_set_size(arrows, 0);
		group = group_of(dot, alike, &row, arrows, budget);
		if (group)
			add_segment(dot, group, i, &row, arrows);
	}
}

static void render_head(const struct dot *dot, GString *out)
{
	const struct census_report *report = segments_report(dot->segments);

	g_string_append(out,
		"// A box is a segment, or several alike; an ellipse a process, or several of one "
		"program.\n"
		"// Solid: mappings; dashed: descriptors alone; with the number of either.\n");
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
	if (dot->graph->hidden > 0)
		g_string_append_printf(out,
			"// Not shown: %" PRIu64 " processes, %" PRIu64 " mappings, %" PRIu64
			" descriptors.\n",
			dot->graph->hidden, dot->hidden_mappings, dot->hidden_descriptors);
	g_string_append(out,
		"digraph shmtree {\n\trankdir=LR;\n\tranksep=1.5;\n"
		"\tnode [shape=box,style=filled,fontname=\"sans-serif\",fillcolor=white];\n"
		"\tedge [fontname=\"sans-serif\",fontsize=10,color=gray40];\n");
}

static const char *colour_of(enum segment_state state)
{
	switch (state) {
	case STATE_MAPPED:
		return "lightblue";
	case STATE_OPEN:
		return "lightcyan";
	case STATE_HELD:
		return "plum";
	case STATE_IDLE:
		return "orange";
	case STATE_UNKNOWN:
		break;
	}
	return "lightgray";
}

/* Letters of 10 to 34 points: their area grows with the memory, so that the eye finds what fills it. */
#define LETTERS_MIN 10
#define LETTERS_MAX 34

static unsigned letters(const struct dot *dot, const struct group *group)
{
	unsigned size = LETTERS_MIN;

	while (size < LETTERS_MAX &&
		(double)size * size * dot->largest <
			(double)LETTERS_MAX * LETTERS_MAX * group->memory)
		size++;
	return size;
}

static void append_bytes(GString *out, uint64_t size)
{
	g_autofree char *text = g_format_size_full(size, G_FORMAT_SIZE_IEC_UNITS);

	format_dot(out, text);
}

static void render_group(const struct dot *dot, guint index, GString *out)
{
	const struct group *group = group_at(dot, index);
	struct segments_row row;

	segments_get(dot->segments, group->first, &row);
	g_string_append_printf(out, "\ts%u [fillcolor=%s,fontsize=%u,label=\"", index,
		colour_of(group->state), letters(dot, group));
	if (group->state == STATE_IDLE) {
		g_string_append_printf(out, "idle × %" PRIu64, group->segments);
	} else if (group->segments > 1) {
		g_string_append_printf(out, "%s\\n", row.label);
		format_dot(out, group->family);
		g_string_append_printf(out, " × %" PRIu64, group->segments);
	} else {
		g_string_append_printf(out, "%s\\n", row.label);
		format_dot(out, row.id);
		if (*row.name && strcmp(row.name, row.id) != 0) {
			g_string_append(out, "\\n");
			format_dot(out, row.name);
		}
	}
	g_string_append(out, "\\n");
	append_bytes(out, group->memory);
	g_string_append(out, " of ");
	append_bytes(out, group->size);
	if (group->state != STATE_IDLE)
		g_string_append_printf(out, "\\n%s", segment_state_name(group->state));
	g_string_append(out, "\"];\n");
}

static void render_user(const struct user *user, GString *out)
{
	g_string_append_printf(out, "\tp%d [shape=ellipse,label=\"", user->pid);
	if (user->processes == 1)
		g_string_append_printf(out, "%d\\n", user->pid);
	format_dot(out, user->command);
	if (user->processes > 1)
		g_string_append_printf(out, " × %u", user->processes);
	g_string_append(out, "\"];\n");
}

static const struct user *shown_at(const struct dot *dot, size_t at)
{
	return user_at(dot, g_array_index(dot->order, guint32, at));
}

static bool same_unit(const struct dot *dot, const struct user *user, size_t at)
{
	return at < dot->order->len && g_str_equal(shown_at(dot, at)->unit, user->unit);
}

/* Those of one unit come one after the other, in a box. */
static void render_shown(const struct dot *dot, size_t at, GString *out)
{
	const struct user *user = shown_at(dot, at);
	bool boxed = !g_str_equal(user->unit, "-");

	if (boxed && (at == 0 || !same_unit(dot, user, at - 1))) {
		g_string_append_printf(out, "\tsubgraph cluster_%zu {\n\tlabel=\"", at);
		format_dot(out, user->unit);
		g_string_append(out, "\";\n");
	}
	render_user(user, out);
	if (boxed && !same_unit(dot, user, at + 1))
		g_string_append(out, "\t}\n");
}

static void render_hidden(const struct dot *dot, GString *out)
{
	if (dot->graph->hidden > 0)
		g_string_append_printf(out,
			"\thidden [shape=plaintext,label=\"processes not shown: %" PRIu64 "\"];\n",
			dot->graph->hidden);
}

static void render_arrow(const struct dot *dot, const struct arrow *arrow, GString *out)
{
	if (arrow->user == HIDDEN)
		g_string_append(out, "\thidden");
	else
		g_string_append_printf(out, "\tp%d", user_at(dot, arrow->user)->pid);
	g_string_append_printf(out, " -> s%u [label=\"", arrow->group);
	if (arrow->mappings > 0)
		g_string_append_printf(out, "%" PRIu64 " maps", arrow->mappings);
	if (arrow->descriptors > 0)
		g_string_append_printf(out, "%s%" PRIu64 " fds", arrow->mappings > 0 ? ", " : "",
			arrow->descriptors);
	g_string_append_printf(out, "\"%s];\n", arrow->mappings > 0 ? "" : ",style=dashed");
}

static void format_row(const void *snapshot, size_t row, GString *out)
{
	const struct dot *dot = snapshot;

	if (row-- == 0) {
		render_head(dot, out);
		return;
	}
	if (row < dot->groups->len) {
		render_group(dot, row, out);
		return;
	}
	row -= dot->groups->len;
	if (row-- == 0) {
		render_hidden(dot, out);
		return;
	}
	if (row < dot->order->len) {
		render_shown(dot, row, out);
		return;
	}
	row -= dot->order->len;
	if (row < dot->arrows->len)
		render_arrow(dot, arrow_at(dot->arrows, row), out);
	else
		g_string_append(out, "}\n");
}

static void clear_group(gpointer group)
{
	g_free(((struct group *)group)->family);
}

static void free_snapshot(void *snapshot)
{
	struct dot *dot = snapshot;

	segments_free(dot->segments);
	usage_graph_free(dot->graph);
	g_array_unref(dot->users);
	g_array_unref(dot->order);
	g_array_unref(dot->groups);
	g_array_unref(dot->arrows);
	g_free(dot->user_of);
	g_free(dot);
}

static size_t count_bytes(const struct dot *dot)
{
	return segments_bytes(dot->segments) + usage_graph_bytes(dot->graph) +
		dot->users->len * sizeof(struct user) + dot->order->len * sizeof(guint32) +
		dot->groups->len * sizeof(struct group) + dot->arrows->len * sizeof(struct arrow) +
		dot->graph->processes->len * sizeof(guint32);
}

int dot_take(const struct realm *realm, const struct caller *caller, struct budget *budget,
	struct view_rows *out)
{
	struct usage_graph *graph = usage_graph_new(realm->census, budget);
	const struct segments_also also = { .visit = usage_graph_add, .data = graph };
	struct segments *segments;
	struct dot *dot;
	int r = segments_take(realm, budget, &also, &segments);

	if (r < 0) {
		usage_graph_free(graph);
		return r;
	}
	dot = g_new0(struct dot, 1);
	dot->graph = graph;
	dot->segments = segments;
	dot->users = g_array_new(FALSE, FALSE, sizeof(struct user));
	dot->order = g_array_new(FALSE, FALSE, sizeof(guint32));
	dot->groups = g_array_new(FALSE, FALSE, sizeof(struct group));
	g_array_set_clear_func(dot->groups, clear_group);
	dot->arrows = g_array_new(FALSE, FALSE, sizeof(struct arrow));
	usage_graph_look(dot->graph, realm->proc, caller);
	add_users(dot);
	add_groups(dot, budget);
	*out = (struct view_rows){
		/* The head, the groups, what is hidden, the users, the arrows, and the end. */
		.n = 1 + dot->groups->len + 1 + dot->order->len + dot->arrows->len + 1,
		.bytes = count_bytes(dot),
		.snapshot = dot,
		.format = format_row,
		.free = free_snapshot,
	};
	return 0;
}

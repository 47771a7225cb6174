/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/report-private.h"

#include "base/util.h"
#include "caller/sight.h"
#include "kinds/attribute.h"
#include "kinds/realms.h"

#include <string.h>
#include <sys/utsname.h>

/* So many owners are looked up in the user database, which may be slow. */
#define NAMES_MAX 100

static uint64_t add_up(uint64_t sum, uint64_t more)
{
	return more > UINT64_MAX - 1 - sum ? UINT64_MAX - 1 : sum + more;
}

static struct report_list *list_at(const struct report *report, guint index)
{
	return &g_array_index(report->lists, struct report_list, index);
}

static void read_limits(struct report *report, guint index, const struct realm *realm)
{
	struct limit limits[LIMITS_MAX];
	unsigned unread;
	size_t n = limits_read(realm, limits, &unread);

	report->limits_unread += unread;
	for (size_t i = 0; i < n; i++)
		if (g_str_equal(limits[i].resource, "TMPFS_BYTES")) {
			list_at(report, index)->size = limits[i].limit;
			list_at(report, index)->used = limits[i].used;
		}
	if (index > 0)
		return;
	memcpy(report->limits, limits, sizeof limits);
	report->n_limits = n;
}

static int add_list(struct report *report, const struct realm *realm, const char *name,
	struct budget *budget)
{
	struct report_list list = { .first = report->graph->segments->len };
	const struct segments_also also = { .visit = usage_graph_add, .data = report->graph };
	int r = segments_take(realm, budget, &also, &list.segments);

	if (r < 0)
		return r;
	g_strlcpy(list.realm, name, sizeof list.realm);
	list.size = list.used = LIMIT_NONE;
	g_array_append_val(report->lists, list);
	read_limits(report, report->lists->len - 1, realm);
	return 0;
}

/* What is in memory or in swap, as far as it is known. */
static uint64_t memory_of(const struct segments_row *row)
{
	return row->allocated == BYTES_UNKNOWN ? 0 : row->allocated;
}

static gint by_memory(gconstpointer a, gconstpointer b)
{
	const struct report_place *x = a, *y = b;

	if (x->memory != y->memory)
		return x->memory < y->memory ? 1 : -1;
	return x->list != y->list ? (x->list > y->list) - (x->list < y->list) :
				    (x->row > y->row) - (x->row < y->row);
}

static void keep_largest(GArray *places)
{
	g_array_sort(places, by_memory);
	if (places->len > REPORT_SEGMENTS)
		g_array_set_size(places, REPORT_SEGMENTS);
}

static struct report_sum *sum_of(GArray *sums, guint32 list, const struct segments_row *row)
{
	struct report_sum fresh = { .list = list, .label = row->label, .state = row->state };

	for (guint i = 0; i < sums->len; i++) {
		struct report_sum *sum = &g_array_index(sums, struct report_sum, i);

		if (sum->list == list && sum->state == row->state && sum->label == row->label)
			return sum;
	}
	g_array_append_val(sums, fresh);
	return &g_array_index(sums, struct report_sum, sums->len - 1);
}

static void add_row(struct report *report, guint32 list, guint32 index,
	const struct segments_row *row)
{
	struct report_place place = { list, index, memory_of(row) };
	struct report_sum *sum = sum_of(report->sums, list, row);

	sum->segments++;
	sum->size = add_up(sum->size, row->size);
	sum->allocated = add_up(sum->allocated, place.memory);
	if (row->allocated != BYTES_UNKNOWN && row->size > row->allocated)
		sum->unwritten = add_up(sum->unwritten, row->size - row->allocated);
	g_array_append_val(report->places, place);
	if (report->places->len >= 2 * REPORT_SEGMENTS)
		keep_largest(report->places);
}

/* An object with several names is shown by its first one. */
static void add_rows(struct report *report)
{
	struct segments_row row;

	for (guint i = 0; i < report->lists->len; i++) {
		const struct report_list *list = list_at(report, i);

		for (size_t j = 0; j < segments_count(list->segments); j++) {
			segments_get(list->segments, j, &row);
			usage_graph_weigh(report->graph, list->first + j, row.size,
				memory_of(&row));
			if (!row.repeated)
				add_row(report, i, j, &row);
		}
	}
	keep_largest(report->places);
}

static gint by_share(gconstpointer a, gconstpointer b, gpointer graph)
{
	guint32 i = *(const guint32 *)a, j = *(const guint32 *)b;
	const struct graph_process *x = graph_process_at(graph, i), *y = graph_process_at(graph, j);

	if (x->sums.share != y->sums.share)
		return x->sums.share < y->sums.share ? 1 : -1;
	return x->pid - y->pid;
}

static void add_processes(struct report *report)
{
	const struct usage_graph *graph = report->graph;

	report->ranks = g_new(guint32, graph->processes->len + 1);
	for (guint32 i = 0; i < graph->processes->len; i++) {
		report->ranks[i] = REPORT_NONE;
		if (graph_process_at(graph, i)->seen)
			g_array_append_val(report->processes, i);
	}
	g_array_sort_with_data(report->processes, by_share, report->graph);
	if (report->processes->len > REPORT_PROCESSES)
		g_array_set_size(report->processes, REPORT_PROCESSES);
	for (guint32 i = 0; i < report->processes->len; i++)
		report->ranks[g_array_index(report->processes, guint32, i)] = i;
}

/* A confined caller sees no name of the machine by itself. */
static void learn_host(struct report *report, const char *proc, const struct caller *caller)
{
	struct caller_sight sight;
	struct utsname name;

	caller_sight_begin(&sight, proc, caller);
	if (sight.proc >= 0 && !sight.confined && uname(&name) == 0)
		report->host = g_strdup(name.nodename);
	caller_sight_end(&sight);
}

static bool has_user(const GArray *users, uid_t uid)
{
	for (guint i = 0; i < users->len; i++)
		if (g_array_index(users, struct report_user, i).uid == uid)
			return true;
	return false;
}

static void name_user(GArray *users, uid_t uid)
{
	struct report_user user = { .uid = uid };

	if (users->len >= NAMES_MAX || has_user(users, uid))
		return;
	user.name = user_name(uid);
	g_array_append_val(users, user);
}

/* The user database may be slow, so it is asked when the census is not held any more. */
static int name_users(struct view_rows *self)
{
	struct report *report = self->snapshot;
	struct segments_row row;

	for (guint i = 0; i < report->places->len && report->users->len < NAMES_MAX; i++) {
		const struct report_place *place =
			&g_array_index(report->places, struct report_place, i);

		segments_get(list_at(report, place->list)->segments, place->row, &row);
		name_user(report->users, row.uid);
	}
	for (guint i = 0; i < report->processes->len; i++)
		name_user(report->users,
			graph_process_at(report->graph,
				g_array_index(report->processes, guint32, i))
				->uid);
	name_user(report->users, report->uid);
	return 0;
}

static void clear_user(gpointer user)
{
	g_free(((struct report_user *)user)->name);
}

static void clear_list(gpointer list)
{
	segments_free(((struct report_list *)list)->segments);
}

static void free_snapshot(void *snapshot)
{
	struct report *report = snapshot;
	size_t bytes = usage_graph_bytes(report->graph);

	usage_graph_free(report->graph);
	g_array_unref(report->lists);
	g_array_unref(report->places);
	g_array_unref(report->sums);
	g_array_unref(report->processes);
	g_array_unref(report->users);
	g_free(report->ranks);
	g_free(report->host);
	g_free(report);
	memory_freed(bytes);
}

static struct report *report_new(const struct realm *own, struct budget *budget)
{
	struct report *report = g_new0(struct report, 1);

	report->graph = usage_graph_new(own->census, budget);
	report->lists = g_array_new(FALSE, FALSE, sizeof(struct report_list));
	g_array_set_clear_func(report->lists, clear_list);
	report->places = g_array_new(FALSE, FALSE, sizeof(struct report_place));
	report->sums = g_array_new(FALSE, FALSE, sizeof(struct report_sum));
	report->processes = g_array_new(FALSE, FALSE, sizeof(guint32));
	report->users = g_array_new(FALSE, FALSE, sizeof(struct report_user));
	g_array_set_clear_func(report->users, clear_user);
	return report;
}

static size_t count_bytes(const struct report *report)
{
	size_t bytes = usage_graph_bytes(report->graph) +
		report->graph->processes->len * sizeof(guint32) +
		2 * REPORT_SEGMENTS * sizeof(struct report_place) +
		report->processes->len * sizeof(guint32);

	for (guint i = 0; i < report->lists->len; i++)
		bytes += segments_bytes(list_at(report, i)->segments);
	return bytes;
}

/* The segments of all realms, each at an instant of its own. */
static int add_lists(struct report *report, const struct realm *own, const GArray *others,
	struct budget *budget)
{
	int r = add_list(report, own, "", budget);

	for (guint i = 0; i < others->len && r == 0; i++) {
		const struct opened_realm *other = &g_array_index(others, struct opened_realm, i);

		r = add_list(report, &other->realm, other->name, budget);
	}
	return r;
}

int report_take(const struct realm *own, const char *source, const struct caller *caller,
	struct budget *budget, struct view_rows *out)
{
	/* Before the census, which counts what is in their file systems from its next pass on. */
	g_autoptr(GArray) others = NULL;
	struct report *report;
	int r = realms_open_all(own, caller, &others);

	if (r < 0)
		return r;
	report = report_new(own, budget);
	r = add_lists(report, own, others, budget);
	if (r < 0) {
		free_snapshot(report);
		return r;
	}
	report->source = source;
	report->uid = caller->uid;
	report->census = *segments_report(list_at(report, 0)->segments);
	clock_gettime(CLOCK_REALTIME, &report->time);
	add_rows(report);
	usage_graph_look(report->graph, own->proc, caller);
	add_processes(report);
	learn_host(report, own->proc, caller);
	*out = (struct view_rows){
		.n = report_rows(report),
		.bytes = count_bytes(report),
		.snapshot = report,
		.complete = name_users,
		.format = report_format,
		.free = free_snapshot,
	};
	return 0;
}

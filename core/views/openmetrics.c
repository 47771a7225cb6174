/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/openmetrics.h"

#include "base/format.h"
#include "kinds/realms.h"
#include "procfs/process-facts.h"
#include "views/openmetrics-faults.h"
#include "views/openmetrics-format.h"
#include "views/openmetrics-limits.h"
#include "views/usage-graph.h"
#include "views/ranking.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* So many users, and units, and namespaces have sums of their own. */
#define RANKED 20

/* The samples of the largest segments take no more than that for each: a name may have 255 bytes. */
#define SEGMENT_BYTES 640

struct metrics {
	const struct realm *own;
	struct faults *faults; /* may be NULL */
	unsigned largest;
	struct budget *budget;
	GArray *others; /* of struct opened_realm */
	struct segments *segments;
	struct usage_graph *graph;
	struct ranking *users, *units, *namespaces;
	unsigned failures; /* kinds that could not be listed, of all realms */
	GString *out;
};

/*
 * A look at all inodes may fail where many come and go; to list all objects takes ten times as long
 * as another.
 */
#define SUMS_TRIES 2

/* How many other namespaces are read at most. */
#define NAMESPACES_READ 32
#define REALMS_READ (1 + NAMESPACES_READ)

/* Taking */

/* `values` as a ranking has them: what takes most comes first. */
#define SUM_VALUES(sum) ((const uint64_t[]){ (sum)->allocated, (sum)->size, (sum)->segments })

static void rank_user(uid_t uid, const struct segments_sum *sum, void *data)
{
	const struct metrics *metrics = data;
	char label[16];

	g_snprintf(label, sizeof label, "%u", uid);
	ranking_add(metrics->users, label, SUM_VALUES(sum));
}

static void add_total(const struct segments_total *total, void *data)
{
	struct segments_sum *sum = data;

	sum->segments += total->segments;
	sum->size += total->size;
	sum->allocated += total->allocated;
}

/* What was taken of a realm: its own, or the `index`th of the others. */
static void add_taken(struct metrics *metrics, guint index, struct segments *segments)
{
	struct segments_sum sum = { 0 };

	segments_each_user(segments, rank_user, metrics);
	metrics->failures += segments_failures(segments);
	if (index == 0) {
		metrics->segments = segments;
		return;
	}
	segments_each_total(segments, add_total, &sum);
	ranking_add(metrics->namespaces,
		g_array_index(metrics->others, struct opened_realm, index - 1).name,
		SUM_VALUES(&sum));
	segments_free(segments);
}

/* The daemon's own realm, and after it the others that are read. */
static const struct realm *realm_at(const struct metrics *metrics, guint index)
{
	return index == 0 ? metrics->own :
			    &g_array_index(metrics->others, struct opened_realm, index - 1).realm;
}

static guint count_realms(const struct metrics *metrics)
{
	return 1 + MIN(metrics->others->len, NAMESPACES_READ);
}

/* The others, one after the other, each with a pass of its own, and all of its segments. */
static int take_each(struct metrics *metrics, const bool taken[REALMS_READ])
{
	int r = 0;

	for (guint i = 0; i < count_realms(metrics) && r == 0; i++) {
		struct usage_graph_taking taking = { metrics->graph, realm_at(metrics, i) };
		const struct segments_also also = { usage_graph_add_used, NULL, &taking };
		struct segments *segments;

		if (taken[i])
			continue;
		r = segments_take(realm_at(metrics, i), metrics->budget, &also, &segments);
		if (r == 0)
			add_taken(metrics, i, segments);
	}
	return r;
}

/* Sets `taken` for those that could be counted. */
static int count_sums(const struct metrics *metrics, struct segments_sums *const *sums,
	bool taken[REALMS_READ])
{
	struct census *census = metrics->own->census;
	int r = census_hold(census, CENSUS_ALL | CENSUS_FACTS);

	if (r < 0)
		return r;
	for (guint i = 0; i < count_realms(metrics); i++)
		if (sums[i])
			taken[i] = segments_sums_count(sums[i]) == 0;
	census_release(census);
	return 0;
}

/*
 * All that are not taken yet, in one pass, from what the kernel has of all POSIX objects. They are
 * not where it does not tell.
 */
static int take_sums(struct metrics *metrics, bool taken[REALMS_READ])
{
	struct usage_graph_taking takings[REALMS_READ];
	struct segments_sums *sums[REALMS_READ] = { NULL };
	int r;

	for (guint i = 0; i < count_realms(metrics); i++) {
		const struct segments_also also = { usage_graph_add_used, NULL, &takings[i] };

		if (taken[i])
			continue;
		takings[i] = (struct usage_graph_taking){ metrics->graph, realm_at(metrics, i) };
		sums[i] = segments_sums_begin(realm_at(metrics, i), i == 0 ? metrics->largest : 0,
			metrics->budget, &also);
	}
	r = count_sums(metrics, sums, taken);
	for (guint i = 0; i < count_realms(metrics); i++) {
		struct segments *segments = sums[i] ? segments_sums_end(sums[i]) : NULL;

		if (segments && taken[i])
			add_taken(metrics, i, segments);
		else if (segments)
			segments_free(segments);
	}
	return r;
}

static void rank_unit(pid_t pid, uint64_t share, void *data)
{
	const struct metrics *metrics = data;
	struct process_origin origin;

	process_origin_read(metrics->own->proc, pid, &origin);
	ranking_add(metrics->units, origin.unit, (const uint64_t[RANKED_VALUES]){ share, 1 });
}

/* Text */

static void add_build(GString *out)
{
	openmetrics_family(out, "shmtree_build_info", NULL, "Always 1; the label is the version.");
	g_string_append(out, "shmtree_build_info{version=\"" SHMTREE_VERSION "\"} 1\n");
}

/*
 * One value of the sums by kind: the members at these offsets of struct segments_total and
 * segments_sum.
 */
struct sum_family {
	GString *out;
	const char *name;
	size_t of_total, of_state;
};

static uint64_t value_at(const void *sums, size_t offset)
{
	return *(const uint64_t *)((const char *)sums + offset);
}

static void add_kind(const struct segments_total *total, void *data)
{
	const struct sum_family *family = data;

	g_string_append_printf(family->out, "shmtree_%s{kind=\"%s\"} %" PRIu64 "\n", family->name,
		total->label, value_at(total, family->of_total));
}

static void add_states(const struct segments_total *total, void *data)
{
	const struct sum_family *family = data;

	for (enum segment_state state = 0; state < SEGMENT_STATES; state++)
		g_string_append_printf(family->out,
			"shmtree_state_%s{kind=\"%s\",state=\"%s\"} %" PRIu64 "\n", family->name,
			total->label, segment_state_name(state),
			value_at(&total->of_state[state], family->of_state));
}

/* The family by kind alone, and the one by kind and state. */
static void add_sum(const struct metrics *metrics, const struct sum_family *family,
	const char *unit, const char *help)
{
	g_autofree char *of_kinds = g_strconcat("shmtree_", family->name, NULL);
	g_autofree char *of_states = g_strconcat("shmtree_state_", family->name, NULL);

	openmetrics_family(metrics->out, of_kinds, unit, help);
	segments_each_total(metrics->segments, add_kind, (void *)family);
	openmetrics_family(metrics->out, of_states, unit, "The same, by state.");
	segments_each_total(metrics->segments, add_states, (void *)family);
}

#define SUM_FAMILY(name, member)                                                                   \
	(&(const struct sum_family){ metrics->out, name, offsetof(struct segments_total, member),  \
		offsetof(struct segments_sum, member) })

static void add_sums(const struct metrics *metrics)
{
	add_sum(metrics, SUM_FAMILY("segments", segments), NULL, "Segments of each kind.");
	add_sum(metrics, SUM_FAMILY("size_bytes", size), "bytes", "Sum of their sizes.");
	add_sum(metrics, SUM_FAMILY("allocated_bytes", allocated), "bytes",
		"Sum of the memory and swap allocated to them, as far as it is known.");
	openmetrics_number(metrics->out, "shmtree_unlisted_kinds", NULL, metrics->failures,
		"Kinds whose segments could not be listed and are missing here.");
}

/* A family with a sample for each of the largest labels. */
static void add_ranked(GString *out, const GArray *ranked, unsigned value, const char *name,
	const char *unit, const char *label, const char *help)
{
	openmetrics_family(out, name, unit, help);
	for (guint i = 0; i < ranked->len; i++) {
		const struct ranked *row = &g_array_index(ranked, struct ranked, i);

		g_string_append_printf(out, "%s{%s=", name, label);
		format_label(out, row->label);
		g_string_append_printf(out, "} %" PRIu64 "\n", row->values[value]);
	}
}

static void add_users(const struct metrics *metrics)
{
	g_autoptr(GArray) users = ranking_largest(metrics->users, RANKED);

	add_ranked(metrics->out, users, 2, "shmtree_user_segments", NULL, "uid",
		"Segments of the users that have most, and of all others.");
	add_ranked(metrics->out, users, 1, "shmtree_user_size_bytes", "bytes", "uid",
		"Sum of their sizes.");
	add_ranked(metrics->out, users, 0, "shmtree_user_allocated_bytes", "bytes", "uid",
		"Memory and swap allocated to them.");
}

static void add_units(const struct metrics *metrics)
{
	g_autoptr(GArray) units = ranking_largest(metrics->units, RANKED);

	add_ranked(metrics->out, units, 1, "shmtree_unit_processes", NULL, "unit",
		"Processes that use segments, by container, pod or unit.");
	add_ranked(metrics->out, units, 0, "shmtree_unit_share_bytes", "bytes", "unit",
		"What their segments take, each divided by the number of processes that use it.");
}

static void add_namespaces(const struct metrics *metrics)
{
	g_autoptr(GArray) namespaces = ranking_largest(metrics->namespaces, RANKED);

	add_ranked(metrics->out, namespaces, 2, "shmtree_namespace_segments", NULL, "namespace",
		"Segments of other IPC namespaces and other tmpfs on /dev/shm.");
	add_ranked(metrics->out, namespaces, 1, "shmtree_namespace_size_bytes", "bytes",
		"namespace", "Sum of their sizes.");
	add_ranked(metrics->out, namespaces, 0, "shmtree_namespace_allocated_bytes", "bytes",
		"namespace", "Memory and swap allocated to them.");
	openmetrics_number(metrics->out, "shmtree_namespaces_left_out", NULL,
		metrics->others->len - MIN(metrics->others->len, NAMESPACES_READ),
		"Other namespaces that were not read, because there are many.");
}

static void add_census(GString *out, const struct census_report *report)
{
	openmetrics_family(out, "shmtree_census_backend_info", NULL,
		"Always 1; the label tells how mappings are counted.");
	g_string_append_printf(out, "shmtree_census_backend_info{backend=\"%s\"} 1\n",
		report->backend);
	openmetrics_counter(out, "shmtree_census_passes_total", report->passes,
		"Passes over all processes.");
	openmetrics_family(out, "shmtree_census_last_pass_seconds", "seconds",
		"How long the last pass took.");
	g_string_append_printf(out, "shmtree_census_last_pass_seconds %" PRIu64 ".%09" PRIu64 "\n",
		report->last_pass_ns / 1000000000, report->last_pass_ns % 1000000000);
	openmetrics_number(out, "shmtree_census_last_pass_timestamp_seconds", "seconds",
		report->last_pass_time, "When the last pass was, since 1970.");
	openmetrics_number(out, "shmtree_census_address_spaces", NULL, report->spaces,
		"Address spaces that the last pass saw.");
	openmetrics_number(out, "shmtree_census_address_spaces_reread", NULL, report->reread,
		"Of these, those that it read anew.");
	openmetrics_number(out, "shmtree_census_address_spaces_inconsistent", NULL,
		report->inconsistent, "Of these, those that changed all the while.");
	openmetrics_number(out, "shmtree_census_unreadable_processes", NULL, report->unreadable,
		"Processes that the last pass could not read: counts may be too low.");
	openmetrics_number(out, "shmtree_census_incomplete_view", NULL,
		report->incomplete_view != NULL,
		"Whether there may be processes that the census cannot see at all.");
}

/* The largest segments */

static uint64_t memory_of(const struct segments_row *row)
{
	return row->allocated == BYTES_UNKNOWN ? 0 : row->allocated;
}

static gint by_memory(gconstpointer a, gconstpointer b)
{
	const struct segments_row *one = a, *other = b;

	if (memory_of(one) != memory_of(other))
		return memory_of(one) < memory_of(other) ? 1 : -1;
	return one->size == other->size ? 0 : one->size < other->size ? 1 : -1;
}

static gint by_kind_and_id(gconstpointer a, gconstpointer b)
{
	const struct segments_row *one = a, *other = b;
	int by = strcmp(one->label, other->label);

	return by ? by : strcmp(one->id, other->id);
}

/* Adds the row to the largest so far, of which there are up to twice as many as wanted. */
static void insert(GArray *largest, guint most, const struct segments_row *row)
{
	g_array_append_vals(largest, row, 1);
	if (largest->len < 2 * most)
		return;
	g_array_sort(largest, by_memory);
	g_array_set_size(largest, most);
}

static void append_samples(const struct segments_row *row, GString *out)
{
	for (const struct openmetrics_family *f = openmetrics_of_segments; f->name; f++)
		if (f->brief)
			f->sample(f, row, out);
}

/* Leaves as many of them, the largest first, as there is room for. */
static void fit(GArray *largest, size_t room)
{
	g_autoptr(GString) text = g_string_new(NULL);
	guint n = 0;

	while (n < largest->len) {
		append_samples(&g_array_index(largest, struct segments_row, n), text);
		if (text->len > room)
			break;
		n++;
	}
	g_array_set_size(largest, n);
}

static GArray *find_largest(const struct metrics *metrics, size_t *left_out)
{
	g_autoptr(GArray) distinct = openmetrics_distinct(metrics->segments);
	GArray *largest = g_array_new(FALSE, FALSE, sizeof(struct segments_row));
	struct segments_row row;

	for (guint i = 0; i < distinct->len; i++) {
		segments_get(metrics->segments, g_array_index(distinct, guint32, i), &row);
		insert(largest, metrics->largest, &row);
	}
	g_array_sort(largest, by_memory);
	g_array_set_size(largest, MIN(largest->len, metrics->largest));
	fit(largest, (size_t)metrics->largest * SEGMENT_BYTES);
	g_array_sort(largest, by_kind_and_id);
	*left_out = distinct->len - largest->len + segments_without_row(metrics->segments);
	return largest;
}

static void add_largest(const struct metrics *metrics)
{
	size_t left_out;
	g_autoptr(GArray) largest = find_largest(metrics, &left_out);

	openmetrics_number(metrics->out, "shmtree_segments_left_out", NULL, left_out,
		"Segments that are not among the largest, which alone have the samples below.");
	for (const struct openmetrics_family *f = openmetrics_of_segments; f->name; f++) {
		if (!f->brief)
			continue;
		openmetrics_family(metrics->out, f->name, f->unit, f->help);
		for (guint i = 0; i < largest->len; i++)
			f->sample(f, &g_array_index(largest, struct segments_row, i), metrics->out);
	}
}

/* The whole */

static void add_all(const struct metrics *metrics)
{
	add_build(metrics->out);
	add_sums(metrics);
	add_users(metrics);
	add_units(metrics);
	add_namespaces(metrics);
	openmetrics_limits(metrics->out, metrics->own, metrics->others);
	add_census(metrics->out, segments_report(metrics->segments));
	if (metrics->faults)
		openmetrics_faults(metrics->out, metrics->faults);
	add_largest(metrics);
	g_string_append(metrics->out, "# EOF\n");
}

static void metrics_clear(struct metrics *metrics)
{
	g_clear_pointer(&metrics->segments, segments_free);
	usage_graph_free(metrics->graph);
	ranking_free(metrics->users);
	ranking_free(metrics->units);
	ranking_free(metrics->namespaces);
}

static void metrics_init(struct metrics *metrics)
{
	metrics->graph = usage_graph_new(metrics->own->census, metrics->budget);
	metrics->users = ranking_new();
	metrics->units = ranking_new();
	metrics->namespaces = ranking_new();
}

static int take_all(struct metrics *metrics)
{
	unsigned tries = census_report(metrics->own->census).why_no_objects ? 0 : SUMS_TRIES;
	bool taken[REALMS_READ] = { false };

	for (; tries && memchr(taken, false, count_realms(metrics)); tries--) {
		int r = take_sums(metrics, taken);

		if (r < 0)
			return r;
	}
	return take_each(metrics, taken);
}

int openmetrics_show(const struct realm *own, struct faults *faults, unsigned largest,
	struct budget *budget, GString *out)
{
	/* Before the census, which counts what is in their file systems from its next pass on. */
	g_autoptr(GArray) others = NULL;
	struct metrics metrics = { own, faults, largest, budget, .out = out };
	int r = realms_open_all(own, NULL, &others);

	if (r < 0)
		return r;
	metrics.others = others;
	metrics_init(&metrics);
	r = take_all(&metrics);
	if (r == 0) {
		usage_graph_each_share(metrics.graph, rank_unit, &metrics);
		add_all(&metrics);
	}
	metrics_clear(&metrics);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/openmetrics.h"

#include "faults/faults.h"
#include "views/limits.h"
#include "views/segments.h"
#include "base/format.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

struct openmetrics {
	struct segments *segments;
	GArray *distinct; /* of guint32: indices of those that have samples */
	GString *head;    /* the families that are not of segments, which are few */
};

static void append_family(GString *out, const char *name, const char *type, const char *unit,
	const char *help)
{
	g_string_append_printf(out, "# TYPE %s %s\n", name, type);
	if (unit)
		g_string_append_printf(out, "# UNIT %s %s\n", name, unit);
	g_string_append_printf(out, "# HELP %s %s\n", name, help);
}

/* The head */

static void add_segments(const struct segments_total *total, void *data)
{
	g_string_append_printf(data, "shmtree_segments{kind=\"%s\"} %" PRIu64 "\n", total->label,
		total->segments);
}

static void add_size(const struct segments_total *total, void *data)
{
	g_string_append_printf(data, "shmtree_size_bytes{kind=\"%s\"} %" PRIu64 "\n", total->label,
		total->size);
}

static void add_allocated(const struct segments_total *total, void *data)
{
	g_string_append_printf(data, "shmtree_allocated_bytes{kind=\"%s\"} %" PRIu64 "\n",
		total->label, total->allocated);
}

static void add_number(GString *out, const char *name, uint64_t value, const char *help)
{
	append_family(out, name, "gauge", NULL, help);
	g_string_append_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void add_totals(GString *out, const struct segments *segments)
{
	append_family(out, "shmtree_segments", "gauge", NULL, "Segments of each kind.");
	segments_each_total(segments, add_segments, out);
	append_family(out, "shmtree_size_bytes", "gauge", "bytes",
		"Sum of the sizes of each kind.");
	segments_each_total(segments, add_size, out);
	append_family(out, "shmtree_allocated_bytes", "gauge", "bytes",
		"Sum of the memory and swap allocated to each kind, as far as it is known.");
	segments_each_total(segments, add_allocated, out);
	add_number(out, "shmtree_unlisted_kinds", segments_failures(segments),
		"Kinds whose segments could not be listed and are missing here.");
}

static void add_limits(GString *out, const struct realm *realm)
{
	struct limit limits[LIMITS_MAX];
	size_t n = limits_read(realm, limits);

	append_family(out, "shmtree_limit", "gauge", NULL,
		"System limits by the names that lsipc has for them; +Inf: unlimited.");
	for (size_t i = 0; i < n; i++) {
		g_string_append_printf(out, "shmtree_limit{resource=\"%s\"} ", limits[i].resource);
		if (limits[i].limit == LIMIT_NONE)
			g_string_append(out, "+Inf\n");
		else
			g_string_append_printf(out, "%" PRIu64 "\n", limits[i].limit);
	}
	append_family(out, "shmtree_limit_used", "gauge", NULL,
		"How much of each limit is used, where that can be said.");
	for (size_t i = 0; i < n; i++)
		if (limits[i].used != LIMIT_NONE)
			g_string_append_printf(out,
				"shmtree_limit_used{resource=\"%s\"} %" PRIu64 "\n",
				limits[i].resource, limits[i].used);
}

static void add_census(GString *out, const struct census_report *report)
{
	append_family(out, "shmtree_census_backend", "gauge", NULL,
		"Always 1; the label tells how mappings are counted.");
	g_string_append_printf(out, "shmtree_census_backend{backend=\"%s\"} 1\n", report->backend);
	append_family(out, "shmtree_census_passes", "counter", NULL, "Passes over all processes.");
	g_string_append_printf(out, "shmtree_census_passes_total %" PRIu64 "\n", report->passes);
	append_family(out, "shmtree_census_last_pass_seconds", "gauge", "seconds",
		"How long the last pass took.");
	g_string_append_printf(out, "shmtree_census_last_pass_seconds %" PRIu64 ".%09" PRIu64 "\n",
		report->last_pass_ns / 1000000000, report->last_pass_ns % 1000000000);
	append_family(out, "shmtree_census_last_pass_timestamp_seconds", "gauge", "seconds",
		"When the last pass was, since 1970.");
	g_string_append_printf(out, "shmtree_census_last_pass_timestamp_seconds %" PRId64 "\n",
		report->last_pass_time);
	add_number(out, "shmtree_census_address_spaces", report->spaces,
		"Address spaces that the last pass saw.");
	add_number(out, "shmtree_census_address_spaces_reread", report->reread,
		"Of these, those that it read anew.");
	add_number(out, "shmtree_census_address_spaces_inconsistent", report->inconsistent,
		"Of these, those that changed all the while.");
	add_number(out, "shmtree_census_unreadable_processes", report->unreadable,
		"Processes that the last pass could not read: counts may be too low.");
	add_number(out, "shmtree_census_incomplete_view", report->incomplete_view != NULL,
		"Whether there may be processes that the census cannot see at all.");
}

static void add_counter(GString *out, const char *name, uint64_t value, const char *help)
{
	append_family(out, name, "counter", NULL, help);
	g_string_append_printf(out, "%s_total %" PRIu64 "\n", name, value);
}

/* Without the programs nothing is counted, and there are no samples. */
static void add_faults(GString *out, struct faults *faults)
{
	bool seen = !faults_why_not(faults);
	struct fault_counts counts = faults_counts(faults);

	add_number(out, "shmtree_faults_seen", seen, "Whether bus errors are seen.");
	if (!seen)
		return;
	append_family(out, "shmtree_faults", "counter", NULL,
		"Bus errors (SIGBUS) that mappings of segments raised.");
	for (unsigned i = 0; i < FAULT_CAUSES; i++)
		g_string_append_printf(out, "shmtree_faults_total{cause=\"%s\"} %" PRIu64 "\n",
			fault_cause_name(i), (uint64_t)counts.by_cause[i]);
	add_counter(out, "shmtree_faults_left_out", counts.left_out,
		"Of these, those without a row, because there were too many at once.");
	add_counter(out, "shmtree_faults_not_attributed", counts.not_attributed,
		"Bus errors in address spaces that were being changed: on a segment or not.");
}

/* The families of segments */

struct family {
	const char *name, *unit, *help;
	void (*sample)(const struct family *family, const struct segments_row *row, GString *out);
	size_t offset; /* for sample(): where in the row the number is */
};

static void begin_sample(const struct family *family, const struct segments_row *row, GString *out)
{
	g_string_append_printf(out, "%s{kind=\"%s\",id=", family->name, row->label);
	format_label(out, row->id);
	g_string_append(out, ",name=");
	format_label(out, row->name);
}

/* What is not known has no sample. */
static void sample_number(const struct family *family, const struct segments_row *row, GString *out)
{
	uint64_t value = *(const uint64_t *)((const char *)row + family->offset);

	if (value == BYTES_UNKNOWN)
		return;
	begin_sample(family, row, out);
	g_string_append_printf(out, "} %" PRIu64 "\n", value);
}

static void sample_state(const struct family *family, const struct segments_row *row, GString *out)
{
	begin_sample(family, row, out);
	g_string_append_printf(out, ",state=\"%s\"} 1\n", segment_state_name(row->state));
}

static void sample_owner(const struct family *family, const struct segments_row *row, GString *out)
{
	begin_sample(family, row, out);
	g_string_append_printf(out, ",uid=\"%u\",gid=\"%u\",perms=\"%04o\"} 1\n", row->uid,
		row->gid, row->mode & 07777u);
}

/* Zero is never, or a kind of segment that has no such time. */
static void sample_mtime(const struct family *family, const struct segments_row *row, GString *out)
{
	if (row->mtime.tv_sec == 0 && row->mtime.tv_nsec == 0)
		return;
	begin_sample(family, row, out);
	g_string_append(out, "} ");
	format_time(out, &row->mtime);
	g_string_append_c(out, '\n');
}

#define NUMBER(member) sample_number, offsetof(struct segments_row, member)

static const struct family families[] = {
	{ "shmtree_segment_size_bytes", "bytes", "Size of a segment.", NUMBER(size) },
	{ "shmtree_segment_allocated_bytes", "bytes", "Memory and swap allocated to it.",
		NUMBER(allocated) },
	{ "shmtree_segment_resident_bytes", "bytes", "Bytes of it in memory, where that is known.",
		NUMBER(resident) },
	{ "shmtree_segment_swapped_bytes", "bytes", "Bytes of it in swap, where that is known.",
		NUMBER(swapped) },
	{ "shmtree_segment_mappings", NULL, "How many times it is mapped, in all address spaces.",
		NUMBER(usage.mappings) },
	{ "shmtree_segment_processes", NULL, "Address spaces that map it.",
		NUMBER(usage.processes) },
	{ "shmtree_segment_openers", NULL, "Descriptors that refer to it.", NUMBER(usage.openers) },
	{ "shmtree_segment_references", NULL, "Open files that refer to it, wherever they are.",
		NUMBER(references) },
	{ "shmtree_segment_hidden", NULL, "Of these, those that no process shows.",
		NUMBER(hidden) },
	{ "shmtree_segment_state", NULL,
		"Always 1; the label is mapped, open, held (by what no process shows), idle "
		"(proven), "
		"or unknown.",
		sample_state },
	{ "shmtree_segment_owner", NULL, "Always 1; the labels tell owner, group and permissions.",
		sample_owner },
	{ "shmtree_segment_mtime_seconds", "seconds", "When it was modified last, since 1970.",
		sample_mtime },
};

static bool is_same_key(const uint8_t *a, const uint8_t *b)
{
	return *a == *b && strcmp((const char *)a + 1, (const char *)b + 1) == 0;
}

/*
 * An object that is removed and made anew while the directory is read may be listed twice, as two
 * objects, which come one after the other in the order of the rows. One series cannot have two
 * samples: the scrape would fail for all.
 */
static GArray *distinct_segments(const struct segments *segments)
{
	size_t n = segments_count(segments);
	GArray *distinct = g_array_sized_new(FALSE, FALSE, sizeof(guint32), n);
	const uint8_t *before = NULL, *key;

	for (guint32 i = 0; i < n; i++, before = key) {
		key = segments_key(segments, i);
		if (!before || !is_same_key(before, key))
			g_array_append_val(distinct, i);
	}
	return distinct;
}

/* The whole */

static void free_snapshot(void *snapshot)
{
	struct openmetrics *openmetrics = snapshot;

	g_string_free(openmetrics->head, TRUE);
	g_array_unref(openmetrics->distinct);
	segments_free(openmetrics->segments);
	g_free(openmetrics);
}

/* The head, each family with a row for its metadata, and the end. */
static size_t count_rows(const struct openmetrics *openmetrics)
{
	return 1 + G_N_ELEMENTS(families) * (1 + openmetrics->distinct->len) + 1;
}

static void sample(const struct openmetrics *openmetrics, const struct family *family, size_t index,
	GString *out)
{
	struct segments_row row;

	segments_get(openmetrics->segments, g_array_index(openmetrics->distinct, guint32, index),
		&row);
	family->sample(family, &row, out);
}

static void format_row(const void *snapshot, size_t row, GString *out)
{
	const struct openmetrics *openmetrics = snapshot;
	size_t each = 1 + openmetrics->distinct->len;
	const struct family *family;

	if (row == 0) {
		g_string_append_len(out, openmetrics->head->str, openmetrics->head->len);
		return;
	}
	if (row == count_rows(openmetrics) - 1) {
		g_string_append(out, "# EOF\n");
		return;
	}
	family = &families[(row - 1) / each];
	row = (row - 1) % each;
	if (row == 0)
		append_family(out, family->name, "gauge", family->unit, family->help);
	else
		sample(openmetrics, family, row - 1, out);
}

int openmetrics_take(const struct realm *realm, struct faults *faults, struct budget *budget,
	struct view_rows *out)
{
	struct openmetrics *openmetrics;
	struct segments *segments;
	int r = segments_take(realm, budget, NULL, &segments);

	if (r < 0)
		return r;
	openmetrics = g_new0(struct openmetrics, 1);
	openmetrics->segments = segments;
	segments_sort(openmetrics->segments);
	openmetrics->distinct = distinct_segments(openmetrics->segments);
	openmetrics->head = g_string_new(NULL);
	add_totals(openmetrics->head, openmetrics->segments);
	add_limits(openmetrics->head, realm);
	add_census(openmetrics->head, segments_report(segments));
	if (faults)
		add_faults(openmetrics->head, faults);
	*out = (struct view_rows){
		.n = count_rows(openmetrics),
		.bytes = segments_bytes(openmetrics->segments) +
			openmetrics->distinct->len * sizeof(guint32) + openmetrics->head->len,
		.snapshot = openmetrics,
		.format = format_row,
		.free = free_snapshot,
	};
	return 0;
}

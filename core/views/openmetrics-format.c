/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/openmetrics-format.h"

#include "base/format.h"

#include <inttypes.h>
#include <stddef.h>

void openmetrics_family(GString *out, const char *name, const char *unit, const char *help)
{
	g_string_append_printf(out, "# TYPE %s gauge\n", name);
	if (unit)
		g_string_append_printf(out, "# UNIT %s %s\n", name, unit);
	g_string_append_printf(out, "# HELP %s %s\n", name, help);
}

void openmetrics_number(GString *out, const char *name, const char *unit, uint64_t value,
	const char *help)
{
	openmetrics_family(out, name, unit, help);
	g_string_append_printf(out, "%s %" PRIu64 "\n", name, value);
}

void openmetrics_counter(GString *out, const char *name, uint64_t value, const char *help)
{
	g_string_append_printf(out, "# HELP %s %s\n%s %" PRIu64 "\n", name, help, name, value);
}

static void begin_sample(const struct openmetrics_family *family, const struct segments_row *row,
	GString *out)
{
	g_string_append_printf(out, "%s{kind=\"%s\",id=", family->name, row->label);
	format_label(out, row->id);
}

static void sample_number(const struct openmetrics_family *family, const struct segments_row *row,
	GString *out)
{
	uint64_t value = *(const uint64_t *)((const char *)row + family->offset);

	if (value == BYTES_UNKNOWN)
		return;
	begin_sample(family, row, out);
	g_string_append_printf(out, "} %" PRIu64 "\n", value);
}

static void sample_info(const struct openmetrics_family *family, const struct segments_row *row,
	GString *out)
{
	begin_sample(family, row, out);
	g_string_append(out, ",name=");
	format_label(out, row->name);
	g_string_append_printf(out, ",state=\"%s\",uid=\"%u\",gid=\"%u\",perms=\"%04o\"} 1\n",
		segment_state_name(row->state), row->uid, row->gid, row->mode & 07777u);
}

/* Zero is never, or a kind of segment that has no such time. */
static void sample_time(const struct openmetrics_family *family, const struct segments_row *row,
	GString *out)
{
	const struct timespec *time = (const struct timespec *)((const char *)row + family->offset);

	if (time->tv_sec == 0 && time->tv_nsec == 0)
		return;
	begin_sample(family, row, out);
	g_string_append(out, "} ");
	format_time(out, time);
	g_string_append_c(out, '\n');
}

#define AT(member) offsetof(struct segments_row, member)

const struct openmetrics_family openmetrics_of_segments[] = {
	{ "shmtree_segment_info", NULL,
		"Always 1; the labels tell a segment's name, owner, and state: mapped, open, held "
		"(by "
		"what no process shows), idle (proven), or unknown.",
		sample_info, .brief = true },
	{ "shmtree_segment_size_bytes", "bytes", "Size of a segment.", sample_number, AT(size),
		true },
	{ "shmtree_segment_allocated_bytes", "bytes", "Memory and swap allocated to it.",
		sample_number, AT(allocated), true },
	{ "shmtree_segment_resident_bytes", "bytes", "Bytes of it in memory, where that is known.",
		sample_number, AT(resident) },
	{ "shmtree_segment_swapped_bytes", "bytes", "Bytes of it in swap, where that is known.",
		sample_number, AT(swapped) },
	{ "shmtree_segment_mappings", NULL, "How many times it is mapped, in all address spaces.",
		sample_number, AT(usage.mappings) },
	{ "shmtree_segment_processes", NULL, "Address spaces that map it.", sample_number,
		AT(usage.processes), true },
	{ "shmtree_segment_openers", NULL, "Descriptors that refer to it.", sample_number,
		AT(usage.openers), true },
	{ "shmtree_segment_references", NULL, "Open files that refer to it, wherever they are.",
		sample_number, AT(references) },
	{ "shmtree_segment_hidden", NULL, "Of these, those that no process shows.", sample_number,
		AT(hidden) },
	{ "shmtree_segment_modified_timestamp_seconds", "seconds",
		"When it was modified last, since 1970.", sample_time, AT(mtime) },
	{ "shmtree_segment_idle_since_timestamp_seconds", "seconds",
		"Since when it is known to be idle, since 1970; none while it is not.", sample_time,
		AT(since), true },
	{ NULL },
};

static guint segment_hash(gconstpointer data)
{
	const char *key = data;

	return g_str_hash(key + 1) ^ (guint)*key;
}

static gboolean segment_equal(gconstpointer a, gconstpointer b)
{
	const char *one = a, *other = b;

	return *one == *other && g_str_equal(one + 1, other + 1);
}

GArray *openmetrics_distinct(const struct segments *segments)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(segment_hash, segment_equal);
	size_t n = segments_count(segments);
	GArray *distinct = g_array_sized_new(FALSE, FALSE, sizeof(guint32), n);

	for (guint32 i = 0; i < n; i++)
		if (g_hash_table_add(seen, (gpointer)segments_key(segments, i)))
			g_array_append_val(distinct, i);
	return distinct;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/openmetrics-segments.h"

struct all {
	struct segments *segments;
	GArray *distinct; /* of guint32: indices of those that have samples */
};

static void free_snapshot(void *snapshot)
{
	struct all *all = snapshot;

	g_array_unref(all->distinct);
	segments_free(all->segments);
	g_free(all);
}

static void format_end(const struct all *all, GString *out)
{
	unsigned failures = segments_failures(all->segments);

	if (failures > 0)
		openmetrics_number(out, "shmtree_segments_unlisted_kinds", NULL, failures,
			"Kinds whose segments could not be listed and are missing here.");
	g_string_append(out, "# EOF\n");
}

/* Each family has a row for its metadata. */
static void format_row(const void *snapshot, size_t row, GString *out)
{
	const struct all *all = snapshot;
	size_t each = 1 + all->distinct->len;
	const struct openmetrics_family *family = &openmetrics_of_segments[row / each];
	struct segments_row segment;

	if (!family->name) {
		format_end(all, out);
	} else if (row % each == 0) {
		openmetrics_family(out, family->name, family->unit, family->help);
	} else {
		segments_get(all->segments, g_array_index(all->distinct, guint32, row % each - 1),
			&segment);
		family->sample(family, &segment, out);
	}
}

static size_t count_families(void)
{
	size_t n = 0;

	while (openmetrics_of_segments[n].name)
		n++;
	return n;
}

int openmetrics_segments(const struct realm *realm, struct budget *budget, struct view_rows *out)
{
	struct segments *segments;
	struct all *all;
	int r = segments_take(realm, budget, NULL, &segments);

	if (r < 0)
		return r;
	all = g_new0(struct all, 1);
	segments_sort(segments);
	all->segments = segments;
	all->distinct = openmetrics_distinct(segments);
	*out = (struct view_rows){
		.n = count_families() * (1 + all->distinct->len) + 1,
		.bytes = segments_bytes(segments) + all->distinct->len * sizeof(guint32),
		.snapshot = all,
		.format = format_row,
		.free = free_snapshot,
	};
	return 0;
}

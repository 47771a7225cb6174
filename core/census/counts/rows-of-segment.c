/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds the rows of one segment among those of all address spaces. */
#include "census/counts/spaces-private.h"

void spaces_drop_index(struct spaces *spaces)
{
	for (int kind = 0; kind < KINDS; kind++) {
		g_clear_pointer(&spaces->index[kind].places, g_array_unref);
		spaces->index[kind].asked = false;
	}
}

static uint64_t segment_rows(const struct segment *segment, enum kind kind)
{
	return kind == MAPPINGS ? segment->usage.mappings : segment->usage.openers;
}

/*
 * A segment that has a large part of all rows is not in the index, which would be as large as the table:
 * to look through all of them takes no more than sixteen times as long, and there are sixteen at most.
 */
#define LARGE_PARTS 16
#define LARGE_MIN 4096

static uint64_t large_rows(const struct spaces *spaces, enum kind kind)
{
	GHashTableIter iter;
	uint64_t total = 0;
	void *segment;

	g_hash_table_iter_init(&iter, spaces->segments);
	while (g_hash_table_iter_next(&iter, NULL, &segment))
		total += segment_rows(segment, kind);
	return MAX(total / LARGE_PARTS, LARGE_MIN);
}

/* The sums tell where each segment's part begins, so that one walk fills all parts. */
static GArray *make_index(struct spaces *spaces, enum kind kind)
{
	uint64_t large = large_rows(spaces, kind);
	GArray *places = g_array_new(FALSE, FALSE, sizeof(struct place));
	GHashTableIter iter;
	void *value;
	size_t total = 0;

	g_hash_table_iter_init(&iter, spaces->segments);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct segment *segment = value;

		segment->index_end[kind] = total;
		if (segment_rows(segment, kind) < large)
			total += segment_rows(segment, kind);
	}
	spaces->index[kind].large = large;
	g_array_set_size(places, total);
	for (guint i = 0; i < spaces->order->len; i++) {
		const struct space *space = spaces->order->pdata[i];

		struct walk walk = { 0 };
		struct segment *segment;

		while (!space_is_left_out(space, kind) &&
			(segment = space_next_row(space, kind, &walk))) {
			if (segment_rows(segment, kind) >= large)
				continue;
			g_array_index(places, struct place, segment->index_end[kind]++) =
				(struct place){ i, walk.at };
		}
	}
	return places;
}

/* Returns the index, made from the second question on since the last change; NULL before. */
static const GArray *index_of(struct spaces *spaces, enum kind kind)
{
	const GArray *places;

	g_mutex_lock(&spaces->lock);
	if (spaces->index[kind].asked && !spaces->index[kind].places)
		spaces->index[kind].places = make_index(spaces, kind);
	spaces->index[kind].asked = true;
	places = spaces->index[kind].places;
	g_mutex_unlock(&spaces->lock);
	return places;
}

typedef bool (*visit_place)(const struct space *space, size_t at, void *data);

static void each_place(struct spaces *spaces, const struct segment *segment, enum kind kind,
	visit_place visit, void *data)
{
	const GArray *places = index_of(spaces, kind);
	size_t n = segment_rows(segment, kind);

	if (places && n < spaces->index[kind].large) {
		for (size_t at = segment->index_end[kind] - n; at < segment->index_end[kind];
			at++) {
			const struct place *place = &g_array_index(places, struct place, at);

			if (!visit(spaces->order->pdata[place->space], place->at, data))
				return;
		}
		return;
	}
	for (guint i = 0; n && i < spaces->order->len; i++) {
		const struct space *space = spaces->order->pdata[i];

		struct walk walk = { 0 };
		const struct segment *of;

		while (!space_is_left_out(space, kind) &&
			(of = space_next_row(space, kind, &walk))) {
			if (of != segment)
				continue;
			if (!visit(space, walk.at, data))
				return;
			n--;
		}
	}
}

struct mapping_visit {
	bool (*visit)(const struct space *space, const struct mapping *row, void *data);
	void *data;
};

static bool visit_mapping(const struct space *space, size_t at, void *data)
{
	const struct mapping_visit *visit = data;
	struct mapping row;

	packed_mappings_get(&space->mappings, &at, &row);
	return visit->visit(space, &row, visit->data);
}

void spaces_each_mapping(struct spaces *spaces, const struct segment *segment,
	bool (*visit)(const struct space *space, const struct mapping *row, void *data), void *data)
{
	struct mapping_visit each = { visit, data };

	each_place(spaces, segment, MAPPINGS, visit_mapping, &each);
}

struct descriptor_visit {
	bool (*visit)(const struct space *space, const struct descriptor *row, void *data);
	void *data;
};

static bool visit_descriptor(const struct space *space, size_t row, void *data)
{
	const struct descriptor_visit *visit = data;

	return visit->visit(space, &space->descriptors[row], visit->data);
}

void spaces_each_descriptor(struct spaces *spaces, const struct segment *segment,
	bool (*visit)(const struct space *space, const struct descriptor *row, void *data),
	void *data)
{
	struct descriptor_visit each = { visit, data };

	each_place(spaces, segment, DESCRIPTORS, visit_descriptor, &each);
}

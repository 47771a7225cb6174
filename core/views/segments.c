/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/segments-private.h"

#include "base/util.h"

#include <string.h>

guint segments_total_of(GArray *totals, const char *label)
{
	struct segments_total fresh = { .label = label };

	for (guint i = 0; i < totals->len; i++)
		if (g_str_equal(g_array_index(totals, struct segments_total, i).label, label))
			return i;
	g_array_append_val(totals, fresh);
	return totals->len - 1;
}

/* What is unknown is the largest number: after it comes 0, which takes a byte. */
static void pack_count(struct packed_rows *rows, uint64_t count)
{
	packed_number(rows, count + 1);
}

static uint64_t get_count(const uint8_t **at)
{
	return packed_get_number(at) - 1;
}

static const struct timespec epoch;

static void pack_of_kind(struct packed_rows *rows, const char *of_kind, int64_t used)
{
	packed_text(rows, of_kind ? of_kind : "");
	packed_signed(rows, used);
}

/* The name of most is their ID. The label and the ID come first: segments_key(). */
void segments_pack_item(struct segments *segments, const struct item *item, const char *of_kind,
	int64_t used)
{
	struct packed_rows *rows = &segments->items;
	bool named = strcmp(item->id, item->name) != 0;

	packed_number(rows, segments_total_of(segments->totals, item->label));
	packed_text(rows, item->id);
	packed_number(rows, named);
	if (named)
		packed_text(rows, item->name);
	packed_number(rows, item->mode);
	packed_number(rows, item->uid);
	packed_number(rows, item->closed ? item->owner + UINT64_C(1) : 0);
	packed_number(rows, item->gid);
	packed_number(rows, item->size);
	pack_count(rows, item->allocated);
	pack_count(rows, item->resident);
	pack_count(rows, item->swapped);
	packed_number(rows, item->key.dev == segments->dev ? 0 : item->key.dev);
	packed_number(rows, item->key.ino);
	packed_number(rows, item->links);
	packed_time(rows, &item->mtime, &epoch);
	packed_time(rows, &item->atime, &item->mtime);
	packed_time(rows, &item->ctime, &item->mtime);
	if (segments->full)
		pack_of_kind(rows, of_kind, used);
	packed_row_end(rows);
}

static const char *label_at(const struct segments *segments, guint total)
{
	return g_array_index(segments->totals, struct segments_total, total).label;
}

void segments_get_item(const struct segments *segments, size_t index, struct segments_row *out)
{
	const uint8_t *at = packed_row(&segments->items, index);
	uint64_t closed_owner; /* plus 1; 0: it is not closed */

	out->label = label_at(segments, packed_get_number(&at));
	out->id = packed_get_text(&at);
	out->name = packed_get_number(&at) ? packed_get_text(&at) : out->id;
	out->mode = packed_get_number(&at);
	out->uid = packed_get_number(&at);
	closed_owner = packed_get_number(&at);
	out->owner = closed_owner ? closed_owner - 1 : out->uid;
	out->gid = packed_get_number(&at);
	out->size = packed_get_number(&at);
	out->allocated = get_count(&at);
	out->resident = get_count(&at);
	out->swapped = get_count(&at);
	out->dev = packed_get_number(&at);
	if (out->dev == 0)
		out->dev = segments->dev;
	out->ino = packed_get_number(&at);
	out->links = packed_get_number(&at);
	out->mtime = packed_get_time(&at, &epoch);
	out->atime = packed_get_time(&at, &out->mtime);
	out->ctime = packed_get_time(&at, &out->mtime);
	if (segments->full) {
		out->of_kind = packed_get_text(&at);
		out->used = packed_get_signed(&at);
	}
}

void segments_pack_use(struct segments *segments, const struct segments_row *row)
{
	struct packed_rows *rows = &segments->uses;

	packed_number(rows, row->usage.mappings);
	packed_number(rows, row->usage.processes);
	packed_number(rows, row->usage.openers);
	pack_count(rows, row->references);
	pack_count(rows, row->hidden);
	packed_number(rows, row->state);
	packed_number(rows, row->repeated);
	if (row->state == STATE_IDLE)
		packed_time(rows, &row->since, &row->mtime);
	if (segments->full)
		segments_last_pack(&segments->last, rows, &row->last, &row->mtime);
	packed_row_end(rows);
}

static void get_use(const struct segments *segments, size_t index, struct segments_row *out)
{
	const uint8_t *at = packed_row(&segments->uses, index);

	out->usage.mappings = packed_get_number(&at);
	out->usage.processes = packed_get_number(&at);
	out->usage.openers = packed_get_number(&at);
	out->references = get_count(&at);
	out->hidden = get_count(&at);
	out->state = packed_get_number(&at);
	out->repeated = packed_get_number(&at);
	if (out->state == STATE_IDLE)
		out->since = packed_get_time(&at, &out->mtime);
	if (segments->full)
		segments_last_get(&segments->last, &at, &out->mtime, &out->last);
}

static size_t row_at(const struct segments *segments, size_t index)
{
	return segments->order ? g_array_index(segments->order, guint32, index) : index;
}

const uint8_t *segments_key(const struct segments *segments, size_t index)
{
	return packed_row(&segments->items, row_at(segments, index));
}

void segments_get(const struct segments *segments, size_t index, struct segments_row *out)
{
	*out = (struct segments_row){ 0 };
	index = row_at(segments, index);
	segments_get_item(segments, index, out);
	get_use(segments, index, out);
}

void segments_free(struct segments *segments)
{
	size_t bytes = segments_bytes(segments);

	packed_rows_clear(&segments->items);
	packed_rows_clear(&segments->uses);
	if (segments->full)
		segments_last_clear(&segments->last);
	g_clear_pointer(&segments->order, g_array_unref);
	g_array_unref(segments->totals);
	g_hash_table_unref(segments->users);
	g_free(segments->incomplete_line);
	g_free(segments->incomplete_json);
	g_free(segments);
	memory_freed(bytes);
}

uint64_t segments_without_row(const struct segments *segments)
{
	return segments->without_row;
}

unsigned segments_failures(const struct segments *segments)
{
	return segments->failures;
}

const struct census_report *segments_report(const struct segments *segments)
{
	return &segments->report;
}

size_t segments_count(const struct segments *segments)
{
	return segments->uses.n;
}

size_t segments_bytes(const struct segments *segments)
{
	return packed_rows_bytes(&segments->items) + packed_rows_bytes(&segments->uses) +
		(segments->order ? segments->order->len * sizeof(guint32) : 0) +
		(segments->full ? segments_last_bytes(&segments->last) : 0);
}

const char *segments_incomplete_line(const struct segments *segments)
{
	return segments->incomplete_line;
}

const char *segments_incomplete_json(const struct segments *segments)
{
	return segments->incomplete_json;
}

/* Order */

/*
 * Where a row is among the bytes of all, and which of them it is: what it is ordered by is read where it
 * stands. There may be a million, and qsort(3) takes as much again.
 */
struct place {
	guint32 at, row;
};

struct ordered_by {
	const char *label, *name, *id;
};

static struct ordered_by read_place(const struct segments *segments, const struct place *place)
{
	const uint8_t *at = segments->items.bytes->data + place->at;
	struct ordered_by by = { .label = label_at(segments, packed_get_number(&at)) };

	by.id = packed_get_text(&at);
	by.name = packed_get_number(&at) ? packed_get_text(&at) : by.id;
	return by;
}

static int compare_places(const void *a, const void *b, void *data)
{
	const struct ordered_by one = read_place(data, a);
	const struct ordered_by other = read_place(data, b);
	int by = one.label == other.label ? 0 : strcmp(one.label, other.label);

	by = by ? by : strcmp(one.name, other.name);
	return by ? by : strcmp(one.id, other.id);
}

void segments_sort(struct segments *segments)
{
	guint32 n = segments->uses.n;
	g_autofree struct place *places = g_new(struct place, n);

	for (guint32 row = 0; row < n; row++)
		places[row] = (struct place){
			packed_row(&segments->items, row) - segments->items.bytes->data, row
		};
	if (n > 0)
		qsort_r(places, n, sizeof *places, compare_places, segments);
	g_clear_pointer(&segments->order, g_array_unref);
	segments->order = g_array_sized_new(FALSE, FALSE, sizeof(guint32), n);
	for (guint32 i = 0; i < n; i++)
		g_array_append_val(segments->order, places[i].row);
}

void segments_each_total(const struct segments *segments,
	void (*visit)(const struct segments_total *total, void *data), void *data)
{
	for (guint i = 0; i < segments->totals->len; i++)
		visit(&g_array_index(segments->totals, struct segments_total, i), data);
}

void segments_each_user(const struct segments *segments,
	void (*visit)(uid_t uid, const struct segments_sum *sum, void *data), void *data)
{
	GHashTableIter iter;
	gpointer uid, sum;

	g_hash_table_iter_init(&iter, segments->users);
	while (g_hash_table_iter_next(&iter, &uid, &sum))
		visit(GPOINTER_TO_UINT(uid), sum, data);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/segments.h"

#include "base/json.h"
#include "base/packed.h"
#include "kinds/incomplete.h"
#include "base/util.h"
#include "kinds/idle.h"
#include "kinds/info-json.h"
#include "kinds/item-use.h"

#include <inttypes.h>
#include <string.h>

struct segments {
	struct packed_rows rows; /* pack() */
	GArray *order;           /* of guint32: which row is the first, and so on; or NULL */
	bool of_kinds;           /* these have what is for the JSON document alone */
	GArray *totals;          /* of struct segments_total */
	unsigned failures;
	/* What the pass did not see: a line, and a member of a JSON object. */
	char *incomplete_line, *incomplete_json;
};

struct taking {
	const struct realm *realm;
	const struct caller *caller; /* who reads what only some kinds have; NULL: not wanted */
	GHashTable *sees;            /* of the view */
	struct segments *segments;
	GHashTable *linked; /* keys of the objects with several names that have been counted */
	item_visitor also;
	void *also_data;
};

static guint total_of(GArray *totals, const char *label)
{
	struct segments_total fresh = { .label = label };

	for (guint i = 0; i < totals->len; i++)
		if (g_str_equal(g_array_index(totals, struct segments_total, i).label, label))
			return i;
	g_array_append_val(totals, fresh);
	return totals->len - 1;
}

static void add_total(GArray *totals, const struct segments_row *row)
{
	struct segments_total *total =
		&g_array_index(totals, struct segments_total, total_of(totals, row->label));

	total->segments++;
	total->size += row->size;
	if (row->allocated != BYTES_UNKNOWN)
		total->allocated += row->allocated;
	if (row->hidden != REFERENCES_UNKNOWN)
		total->hidden += row->hidden;
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

static void pack_time(struct packed_rows *rows, const struct timespec *time)
{
	packed_number(rows, time->tv_sec);
	packed_number(rows, time->tv_nsec);
}

static struct timespec get_time(const uint8_t **at)
{
	struct timespec time = { .tv_sec = packed_get_number(at) };

	time.tv_nsec = packed_get_number(at);
	return time;
}

/* The name of most is their ID. The label and the ID come first: segments_key(). */
static void pack(struct segments *segments, const struct segments_row *row)
{
	struct packed_rows *rows = &segments->rows;
	bool named = strcmp(row->id, row->name) != 0;

	packed_number(rows, total_of(segments->totals, row->label));
	packed_text(rows, row->id);
	packed_number(rows, named);
	if (named)
		packed_text(rows, row->name);
	packed_number(rows, row->mode);
	packed_number(rows, row->uid);
	packed_number(rows, row->gid);
	packed_number(rows, row->size);
	pack_count(rows, row->allocated);
	pack_count(rows, row->resident);
	pack_count(rows, row->swapped);
	packed_number(rows, row->usage.mappings);
	packed_number(rows, row->usage.processes);
	packed_number(rows, row->usage.openers);
	pack_count(rows, row->references);
	pack_count(rows, row->hidden);
	packed_number(rows, row->state);
	packed_number(rows, row->repeated);
	pack_time(rows, &row->since);
	pack_time(rows, &row->mtime);
	if (segments->of_kinds) {
		pack_time(rows, &row->atime);
		pack_time(rows, &row->ctime);
		packed_number(rows, row->ino);
		packed_text(rows, row->of_kind ? row->of_kind : "");
	}
	packed_row_end(rows);
}

static void get_of_kind(const uint8_t **at, struct segments_row *out)
{
	out->atime = get_time(at);
	out->ctime = get_time(at);
	out->ino = packed_get_number(at);
	out->of_kind = packed_get_text(at);
}

const uint8_t *segments_key(const struct segments *segments, size_t index)
{
	if (segments->order)
		index = g_array_index(segments->order, guint32, index);
	return packed_row(&segments->rows, index);
}

static const char *label_at(const struct segments *segments, guint total)
{
	return g_array_index(segments->totals, struct segments_total, total).label;
}

void segments_get(const struct segments *segments, size_t index, struct segments_row *out)
{
	const uint8_t *at = segments_key(segments, index);

	*out = (struct segments_row){ 0 };
	out->label = label_at(segments, packed_get_number(&at));
	out->id = packed_get_text(&at);
	out->name = packed_get_number(&at) ? packed_get_text(&at) : out->id;
	out->mode = packed_get_number(&at);
	out->uid = packed_get_number(&at);
	out->gid = packed_get_number(&at);
	out->size = packed_get_number(&at);
	out->allocated = get_count(&at);
	out->resident = get_count(&at);
	out->swapped = get_count(&at);
	out->usage.mappings = packed_get_number(&at);
	out->usage.processes = packed_get_number(&at);
	out->usage.openers = packed_get_number(&at);
	out->references = get_count(&at);
	out->hidden = get_count(&at);
	out->state = packed_get_number(&at);
	out->repeated = packed_get_number(&at);
	out->since = get_time(&at);
	out->mtime = get_time(&at);
	if (segments->of_kinds)
		get_of_kind(&at, out);
}

static char *take_of_kind(const struct taking *taking, const struct item *item)
{
	const struct view view = {
		.realm = taking->realm,
		.item = item,
		.caller = *taking->caller,
		.sees = taking->sees,
	};
	return info_of_kind(&view);
}

static void take_item(const struct item *item, void *data)
{
	struct taking *taking = data;
	struct segments *segments = taking->segments;
	struct item full = *item;
	g_autofree char *of_kind = NULL;
	struct segments_row row;
	struct item_use use;

	if (!item->segment)
		return;
	item_use(taking->realm, item, &use);
	if (item->kind->residency)
		item->kind->residency(taking->realm, &full);
	row = (struct segments_row){
		.label = item->label,
		.id = item->id,
		.name = item->name,
		.mode = item->mode,
		.uid = item->uid,
		.gid = item->gid,
		.size = item->size,
		.allocated = full.allocated,
		.resident = full.resident,
		.swapped = full.swapped,
		.usage = use.usage,
		.references = use.references.count,
		.hidden = use.references.hidden,
		.state = use.state,
		.since = use.state == STATE_IDLE ? idle_since(taking->realm, item) :
						   (struct timespec){ 0 },
		.mtime = item->mtime,
		.atime = item->atime,
		.ctime = item->ctime,
		.ino = item->key.ino,
		.of_kind = of_kind = taking->caller ? take_of_kind(taking, item) : NULL,
	};
	row.repeated = item->links > 1 &&
		!g_hash_table_add(taking->linked, g_memdup2(&item->key, sizeof item->key));
	pack(segments, &row);
	if (!row.repeated)
		add_total(segments->totals, &row);
	if (taking->also)
		taking->also(item, taking->also_data);
}

/* While the census is held: the next pass may see more, or less. */
static void note_incomplete(const struct realm *realm, struct segments *segments)
{
	GString *line = g_string_new(NULL), *members = g_string_new(NULL);
	struct json json;

	incomplete_line(realm->census, segments->failures, line);
	segments->incomplete_line = g_string_free(line, FALSE);
	format_json_line(&json, members);
	format_json_object(&json, NULL);
	incomplete_json(realm->census, segments->failures, &json);
	segments->incomplete_json = g_strndup(members->str + 1, members->len - 1);
	g_string_free(members, TRUE);
}

static struct segments *take(const struct realm *realm, const struct caller *caller,
	struct budget *budget, item_visitor also, void *data)
{
	struct segments *segments = g_new0(struct segments, 1);
	g_autoptr(GHashTable) linked =
		g_hash_table_new_full(segment_key_hash, segment_key_equal, g_free, NULL);
	g_autoptr(GHashTable) sees = g_hash_table_new(NULL, NULL);
	struct taking taking = { realm, caller, sees, segments, linked, also, data };

	segments->of_kinds = caller != NULL;
	packed_rows_init(&segments->rows, budget);
	segments->totals = g_array_new(FALSE, FALSE, sizeof(struct segments_total));
	for (const struct kind *const *kind = kinds; *kind; kind++)
		if ((*kind)->present(realm) && (*kind)->each(realm, take_item, &taking) < 0)
			segments->failures++;
	packed_rows_end(&segments->rows);
	note_incomplete(realm, segments);
	return segments;
}

struct segments *segments_take(const struct realm *realm, struct budget *budget)
{
	return take(realm, NULL, budget, NULL, NULL);
}

struct segments *segments_take_full(const struct realm *realm, const struct caller *caller,
	struct budget *budget)
{
	return take(realm, caller, budget, NULL, NULL);
}

struct segments *segments_take_with(const struct realm *realm, struct budget *budget,
	item_visitor also, void *data)
{
	return take(realm, NULL, budget, also, data);
}

void segments_free(struct segments *segments)
{
	size_t bytes = segments_bytes(segments);

	packed_rows_clear(&segments->rows);
	g_clear_pointer(&segments->order, g_array_unref);
	g_array_unref(segments->totals);
	g_free(segments->incomplete_line);
	g_free(segments->incomplete_json);
	g_free(segments);
	memory_freed(bytes);
}

unsigned segments_failures(const struct segments *segments)
{
	return segments->failures;
}

size_t segments_count(const struct segments *segments)
{
	return segments->rows.n;
}

size_t segments_bytes(const struct segments *segments)
{
	return packed_rows_bytes(&segments->rows) +
		(segments->order ? segments->order->len * sizeof(guint32) : 0);
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

/* What rows are ordered by, and which of them this is. */
struct place {
	const char *label, *name, *id;
	guint32 row;
};

static gint compare_places(gconstpointer a, gconstpointer b)
{
	const struct place *one = a, *other = b;
	int by = one->label == other->label ? 0 : strcmp(one->label, other->label);

	by = by ? by : strcmp(one->name, other->name);
	return by ? by : strcmp(one->id, other->id);
}

static struct place place_of(const struct segments *segments, guint32 row)
{
	const uint8_t *at = packed_row(&segments->rows, row);
	struct place place = { .row = row };

	place.label = label_at(segments, packed_get_number(&at));
	place.id = packed_get_text(&at);
	place.name = packed_get_number(&at) ? packed_get_text(&at) : place.id;
	return place;
}

void segments_sort(struct segments *segments)
{
	size_t n = segments->rows.n;
	g_autoptr(GArray) places = g_array_sized_new(FALSE, FALSE, sizeof(struct place), n);

	for (guint32 row = 0; row < n; row++) {
		struct place place = place_of(segments, row);

		g_array_append_val(places, place);
	}
	g_array_sort(places, compare_places);
	g_clear_pointer(&segments->order, g_array_unref);
	segments->order = g_array_sized_new(FALSE, FALSE, sizeof(guint32), n);
	for (guint i = 0; i < n; i++)
		g_array_append_val(segments->order, g_array_index(places, struct place, i).row);
}

void segments_each_total(const struct segments *segments,
	void (*visit)(const struct segments_total *total, void *data), void *data)
{
	for (guint i = 0; i < segments->totals->len; i++)
		visit(&g_array_index(segments->totals, struct segments_total, i), data);
}

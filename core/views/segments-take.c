/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes the snapshot: first the items that can be listed without the census, which may take long;
 * then, while it is held, which must be short, the counts of each, and the other items.
 */
#include "views/segments-taking.h"

#include "base/json.h"
#include "kinds/idle.h"
#include "kinds/incomplete.h"
#include "kinds/info-json.h"
#include "kinds/item-use.h"
#include "kinds/residency.h"

static void add_to_sum(struct segments_sum *sum, const struct segments_row *row)
{
	sum->segments++;
	sum->size += row->size;
	if (row->allocated != BYTES_UNKNOWN)
		sum->allocated += row->allocated;
}

static struct segments_sum *sum_of_user(GHashTable *users, uid_t uid)
{
	struct segments_sum *sum = g_hash_table_lookup(users, GUINT_TO_POINTER(uid));

	if (!sum) {
		sum = g_new0(struct segments_sum, 1);
		g_hash_table_insert(users, GUINT_TO_POINTER(uid), sum);
	}
	return sum;
}

void segments_add_total(struct segments *segments, const struct segments_row *row)
{
	/* First of all: it may have to be entered. */
	guint index = segments_total_of(segments->totals, row->label);
	struct segments_total *total =
		&g_array_index(segments->totals, struct segments_total, index);

	total->segments++;
	total->size += row->size;
	if (row->allocated != BYTES_UNKNOWN)
		total->allocated += row->allocated;
	if (row->hidden != REFERENCES_UNKNOWN)
		total->hidden += row->hidden;
	add_to_sum(&total->of_state[row->state], row);
	add_to_sum(sum_of_user(segments->users, row->owner), row);
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

/* Asks for no more than it must: an item's own file need not be opened where nothing is in swap. */
static void fill_residency(const struct taking *taking, struct item *item)
{
	if (taking->swap_empty && item->resident == BYTES_UNKNOWN &&
		item->allocated != BYTES_UNKNOWN) {
		item->resident = item->allocated;
		item->swapped = 0;
	} else if (item->kind->residency) {
		item->kind->residency(taking->realm, item);
	}
}

void segments_keep_item(const struct taking *taking, const struct item *item)
{
	struct item full = *item;
	g_autofree char *of_kind = taking->caller ? take_of_kind(taking, item) : NULL;

	fill_residency(taking, &full);
	segments_pack_item(taking->segments, &full, of_kind,
		item->kind->used ? item->kind->used(item) : 0);
}

void segments_keep_use(struct taking *taking, const struct item *item)
{
	struct segments_row row = {
		.label = item->label,
		.owner = item->closed ? item->owner : item->uid,
		.size = item->size,
		.allocated = item->allocated,
		.mtime = item->mtime,
	};
	struct item_use use;

	item_use(taking->realm, item, &use);
	row.usage = use.usage;
	row.references = use.references.count;
	row.hidden = use.references.hidden;
	row.state = use.state;
	if (row.state == STATE_IDLE)
		row.since = idle_since(taking->realm, item);
	/* One that has lost its last name since it was listed has a row among those without. */
	row.repeated = (item->links > 0 && use.references.nameless) ||
		(item->links > 1 &&
			!g_hash_table_add(taking->linked, g_memdup2(&item->key, sizeof item->key)));
	if (taking->last)
		last_users_find(taking->last, item, &row.last);
	segments_pack_use(taking->segments, &row);
	if (!row.repeated && !taking->counted)
		segments_add_total(taking->segments, &row);
	if (taking->also.visit && !taking->counted)
		taking->also.visit(item, taking->also.data);
}

static void list_item(const struct item *item, void *data)
{
	struct taking *taking = data;

	if (!item->segment)
		return;
	if (taking->inos && item->key.dev == taking->realm->shm_dev)
		g_array_append_val(taking->inos, item->key.ino);
	segments_keep_item(taking, item);
}

static void list_and_count(const struct item *item, void *data)
{
	if (!item->segment)
		return;
	segments_keep_item(data, item);
	segments_keep_use(data, item);
}

/* Those that can be listed without the census, or the others. */
static void take_kinds(struct taking *taking, bool alone)
{
	const struct realm *realm = taking->realm;

	taking->swap_empty = residency_swap_is_empty();
	for (const struct kind *const *kind = kinds; *kind; kind++) {
		if ((*kind)->listed_alone != alone || *kind == taking->left_out ||
			!(*kind)->present(realm))
			continue;
		if ((*kind)->each(realm, alone ? list_item : list_and_count, taking) < 0)
			taking->segments->failures++;
		if (alone)
			taking->listed[taking->n_listed++] =
				(struct listed){ *kind, taking->segments->items.n };
	}
}

/* What was listed, again as far as it takes to ask how it is used. All of it are files. */
static void listed_item(const struct segments *segments, const struct kind *kind, size_t index,
	struct item *out)
{
	struct segments_row row = { 0 };

	segments_get_item(segments, index, &row);
	*out = (struct item){
		.kind = kind,
		.label = row.label,
		.segment = true,
		.key = { .dev = row.dev, .ino = row.ino, .class = SEGMENT_FILE },
		.links = row.links,
		.mode = row.mode,
		.uid = row.uid,
		.gid = row.gid,
		.closed = row.owner != row.uid,
		.owner = row.owner,
		.size = row.size,
		.allocated = row.allocated,
		.resident = row.resident,
		.swapped = row.swapped,
		.atime = row.atime,
		.mtime = row.mtime,
		.ctime = row.ctime,
	};
	g_strlcpy(out->id, row.id, sizeof out->id);
	g_strlcpy(out->name, row.name, sizeof out->name);
}

static void count_listed(struct taking *taking)
{
	struct item item;
	size_t row = 0;

	for (unsigned i = 0; i < taking->n_listed; i++)
		for (; row < taking->listed[i].until; row++) {
			listed_item(taking->segments, taking->listed[i].kind, row, &item);
			segments_keep_use(taking, &item);
		}
}

void segments_taking_count(struct taking *taking)
{
	taking->segments->report = census_report(taking->realm->census);
	count_listed(taking);
	take_kinds(taking, false);
	incomplete_texts(taking->realm->census, taking->segments->failures,
		&taking->segments->incomplete_line, &taking->segments->incomplete_json);
	if (taking->also.end)
		taking->also.end(taking->segments, taking->also.data);
}

static void begin_full(struct taking *taking)
{
	segments_last_init(&taking->segments->last);
	taking->last = last_users_new(taking->realm, taking->caller, taking->sees);
}

static void end_full(struct taking *taking)
{
	segments_last_end(&taking->segments->last);
	last_users_free(taking->last);
}

void segments_taking_begin(struct taking *taking, const struct realm *realm,
	const struct caller *caller, struct budget *budget, const struct segments_also *also)
{
	struct segments *segments = g_new0(struct segments, 1);

	*taking = (struct taking){
		.realm = realm,
		.caller = caller,
		.sees = g_hash_table_new(NULL, NULL),
		.segments = segments,
		.linked = g_hash_table_new_full(segment_key_hash, segment_key_equal, g_free, NULL),
		.also = also ? *also : (struct segments_also){ 0 },
		.left_out = taking->left_out,
		.inos = taking->inos,
	};
	segments->full = caller != NULL;
	segments->dev = realm->shm_dev;
	packed_rows_init(&segments->items, budget);
	packed_rows_init(&segments->uses, budget);
	segments->totals = g_array_new(FALSE, FALSE, sizeof(struct segments_total));
	segments->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	if (segments->full)
		begin_full(taking);
	take_kinds(taking, true);
}

struct segments *segments_taking_end(struct taking *taking)
{
	struct segments *segments = taking->segments;

	packed_rows_end(&segments->items);
	packed_rows_end(&segments->uses);
	if (segments->full)
		end_full(taking);
	g_hash_table_unref(taking->linked);
	g_hash_table_unref(taking->sees);
	return segments;
}

static int take(const struct realm *realm, const struct caller *caller, struct budget *budget,
	const struct segments_also *also, struct segments **out)
{
	struct taking taking = { 0 };
	struct segments *segments;
	int r;

	segments_taking_begin(&taking, realm, caller, budget, also);
	r = census_hold(realm->census, CENSUS_ALL);
	if (r == 0) {
		segments_taking_count(&taking);
		census_release(realm->census);
	}
	segments = segments_taking_end(&taking);
	if (r == 0)
		*out = segments;
	else
		segments_free(segments);
	return r;
}

int segments_take(const struct realm *realm, struct budget *budget,
	const struct segments_also *also, struct segments **out)
{
	return take(realm, NULL, budget, also, out);
}

int segments_take_full(const struct realm *realm, const struct caller *caller,
	struct budget *budget, struct segments **out)
{
	return take(realm, caller, budget, NULL, out);
}

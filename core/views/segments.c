/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/segments.h"

#include "base/format.h"
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
	bool of_kinds;           /* these have what is for the JSON document alone */
	GArray *totals;          /* of struct segments_total */
	unsigned failures;
	char *incomplete_line,
		*incomplete_json; /* what the pass did not see, as either file says it */
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

void segments_get(const struct segments *segments, size_t index, struct segments_row *out)
{
	const uint8_t *at = packed_row(&segments->rows, index);

	*out = (struct segments_row){ 0 };
	out->label = g_array_index(segments->totals, struct segments_total, packed_get_number(&at))
			     .label;
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
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(JsonNode) node = NULL;
	GString *line = g_string_new(NULL);

	incomplete_line(realm->census, segments->failures, line);
	segments->incomplete_line = g_string_free(line, FALSE);
	json_builder_begin_object(builder);
	incomplete_json(realm->census, segments->failures, builder);
	json_builder_end_object(builder);
	node = json_builder_get_root(builder);
	segments->incomplete_json = json_to_string(
		json_object_get_member(json_node_get_object(node), "incomplete"), FALSE);
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

struct segments *segments_take_with(const struct realm *realm, struct budget *budget,
	item_visitor also, void *data)
{
	return take(realm, NULL, budget, also, data);
}

void segments_free(struct segments *segments)
{
	size_t bytes = segments_bytes(segments);

	packed_rows_clear(&segments->rows);
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

const uint8_t *segments_key(const struct segments *segments, size_t index)
{
	return packed_row(&segments->rows, index);
}

size_t segments_bytes(const struct segments *segments)
{
	return packed_rows_bytes(&segments->rows);
}

static void table_row(const struct segments_row *row, GString *out)
{
	g_string_append_printf(out, "%s\t", row->label);
	format_escaped(out, row->id);
	g_string_append_c(out, '\t');
	format_escaped(out, row->name);
	g_string_append_printf(out, "\t%04o\t%u\t%u\t%" PRIu64 "\t", row->mode & 07777u, row->uid,
		row->gid, row->size);
	format_count(out, row->allocated);
	g_string_append_c(out, '\t');
	format_count(out, row->resident);
	g_string_append_printf(out, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\t",
		row->usage.mappings, row->usage.processes, row->usage.openers,
		segment_state_name(row->state));
	format_time(out, &row->mtime);
	g_string_append_c(out, '\t');
	format_count(out, row->swapped);
	g_string_append_c(out, '\t');
	format_count(out, row->references);
	g_string_append_c(out, '\t');
	format_count(out, row->hidden);
	g_string_append_c(out, '\t');
	if (row->state == STATE_IDLE)
		format_time(out, &row->since);
	else
		g_string_append_c(out, '-');
	g_string_append_c(out, '\n');
}

static void format_table(const void *snapshot, size_t row, GString *out)
{
	const struct segments *segments = snapshot;
	struct segments_row segment;

	if (row == 0)
		g_string_append(out,
			"KIND\tID\tNAME\tPERMS\tUID\tGID\tSIZE\tALLOCATED\tRESIDENT\tMAPPINGS\t"
			"PROCESSES\tOPENERS\tSTATE\tMTIME\tSWAPPED\tREFERENCES\tHIDDEN\t"
			"SINCE\n");
	else if (row > segments->rows.n)
		g_string_append(out, segments->incomplete_line);
	else {
		segments_get(segments, row - 1, &segment);
		table_row(&segment, out);
	}
}

static void json_text(JsonBuilder *builder, const char *name, const char *value)
{
	json_builder_set_member_name(builder, name);
	json_builder_add_string_value(builder, value);
}

static JsonNode *json_row(const struct segments_row *row)
{
	g_autoptr(JsonBuilder) builder = json_builder_new_immutable();
	g_autofree char *perms = g_strdup_printf("%04o", row->mode & 07777u);

	json_builder_begin_object(builder);
	json_text(builder, "kind", row->label);
	format_json_bytes(builder, "id", row->id);
	format_json_bytes(builder, "name", row->name);
	json_text(builder, "perms", perms);
	format_json_number(builder, "uid", row->uid);
	format_json_number(builder, "gid", row->gid);
	format_json_number(builder, "size", row->size);
	format_json_number(builder, "allocated", row->allocated);
	format_json_number(builder, "resident", row->resident);
	format_json_number(builder, "swapped", row->swapped);
	format_json_number(builder, "mappings", row->usage.mappings);
	format_json_number(builder, "processes", row->usage.processes);
	format_json_number(builder, "openers", row->usage.openers);
	format_json_number(builder, "references", row->references);
	format_json_number(builder, "hidden", row->hidden);
	json_text(builder, "state", segment_state_name(row->state));
	if (row->state == STATE_IDLE)
		format_json_time(builder, "since", &row->since);
	else
		format_json_number(builder, "since", UINT64_MAX);
	format_json_time(builder, "atime", &row->atime);
	format_json_time(builder, "mtime", &row->mtime);
	format_json_time(builder, "ctime", &row->ctime);
	format_json_number(builder, "ino", row->ino);
	json_builder_end_object(builder);
	return json_builder_get_root(builder);
}

static void append_json_row(const struct segments_row *row, GString *out)
{
	JsonNode *node = json_row(row);
	g_autofree char *text = json_to_string(node, FALSE);

	json_node_unref(node);
	g_string_append_len(out, text, strlen(text) - 1);
	if (*row->of_kind)
		g_string_append_printf(out, ",%s", row->of_kind);
	g_string_append_c(out, '}');
}

static void format_json(const void *snapshot, size_t row, GString *out)
{
	const struct segments *segments = snapshot;
	struct segments_row segment;

	if (row == 0) {
		g_string_append(out, "{\"segments\":[");
	} else if (row <= segments->rows.n) {
		g_string_append(out, row == 1 ? "\n" : ",\n");
		segments_get(segments, row - 1, &segment);
		append_json_row(&segment, out);
	} else {
		g_string_append_printf(out, "\n],\"incomplete\":%s}\n", segments->incomplete_json);
	}
}

static void free_snapshot(void *snapshot)
{
	segments_free(snapshot);
}

/* A header, the segments, and an end. */
static struct view_rows rows_of(struct segments *segments,
	void (*format)(const void *snapshot, size_t row, GString *out))
{
	return (struct view_rows){
		.n = segments->rows.n + 2,
		.bytes = segments_bytes(segments),
		.snapshot = segments,
		.format = format,
		.free = free_snapshot,
	};
}

struct view_rows segments_table(const struct realm *realm, struct budget *budget)
{
	return rows_of(segments_take(realm, budget), format_table);
}

struct view_rows segments_json(const struct realm *realm, const struct caller *caller,
	struct budget *budget)
{
	return rows_of(take(realm, caller, budget, NULL, NULL), format_json);
}

void segments_each_total(const struct segments *segments,
	void (*visit)(const struct segments_total *total, void *data), void *data)
{
	for (guint i = 0; i < segments->totals->len; i++)
		visit(&g_array_index(segments->totals, struct segments_total, i), data);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/segments.h"

#include "base/format.h"
#include "kinds/incomplete.h"
#include "base/util.h"
#include "kinds/idle.h"
#include "kinds/info-json.h"
#include "kinds/item-use.h"

#include <inttypes.h>
#include <string.h>

struct segments {
	GArray *rows;          /* of struct segments_row */
	GStringChunk *strings; /* of the rows, one behind the other */
	size_t string_bytes;
	GArray *totals; /* of struct segments_total */
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

static void add_total(GArray *totals, const struct segments_row *row)
{
	struct segments_total fresh = { .label = row->label }, *total = NULL;

	for (guint i = 0; i < totals->len && !total; i++)
		if (g_str_equal(g_array_index(totals, struct segments_total, i).label, row->label))
			total = &g_array_index(totals, struct segments_total, i);
	if (!total) {
		g_array_append_val(totals, fresh);
		total = &g_array_index(totals, struct segments_total, totals->len - 1);
	}
	total->segments++;
	total->size += row->size;
	if (row->allocated != BYTES_UNKNOWN)
		total->allocated += row->allocated;
	if (row->hidden != REFERENCES_UNKNOWN)
		total->hidden += row->hidden;
}

static const char *keep_string(struct segments *segments, const char *string)
{
	segments->string_bytes += strlen(string) + 1;
	return g_string_chunk_insert(segments->strings, string);
}

static const char *take_of_kind(const struct taking *taking, const struct item *item)
{
	const struct view view = {
		.realm = taking->realm,
		.item = item,
		.caller = *taking->caller,
		.sees = taking->sees,
	};
	g_autofree char *text = info_of_kind(&view);

	return text ? keep_string(taking->segments, text) : NULL;
}

static void take_item(const struct item *item, void *data)
{
	struct taking *taking = data;
	struct segments *segments = taking->segments;
	struct item full = *item;
	struct segments_row row;
	struct item_use use;

	if (!item->segment)
		return;
	item_use(taking->realm, item, &use);
	if (item->kind->residency)
		item->kind->residency(taking->realm, &full);
	row = (struct segments_row){
		.label = item->label,
		.id = keep_string(segments, item->id),
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
		.of_kind = taking->caller ? take_of_kind(taking, item) : NULL,
	};
	row.name = strcmp(item->id, item->name) == 0 ? row.id : keep_string(segments, item->name);
	row.repeated = item->links > 1 &&
		!g_hash_table_add(taking->linked, g_memdup2(&item->key, sizeof item->key));
	g_array_append_val(segments->rows, row);
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
	item_visitor also, void *data)
{
	struct segments *segments = g_new0(struct segments, 1);
	g_autoptr(GHashTable) linked =
		g_hash_table_new_full(segment_key_hash, segment_key_equal, g_free, NULL);
	g_autoptr(GHashTable) sees = g_hash_table_new(NULL, NULL);
	struct taking taking = { realm, caller, sees, segments, linked, also, data };

	segments->rows = g_array_new(FALSE, FALSE, sizeof(struct segments_row));
	segments->totals = g_array_new(FALSE, FALSE, sizeof(struct segments_total));
	segments->strings = g_string_chunk_new(16384);
	for (const struct kind *const *kind = kinds; *kind; kind++)
		if ((*kind)->present(realm) && (*kind)->each(realm, take_item, &taking) < 0)
			segments->failures++;
	note_incomplete(realm, segments);
	return segments;
}

struct segments *segments_take(const struct realm *realm)
{
	return take(realm, NULL, NULL, NULL);
}

struct segments *segments_take_with(const struct realm *realm, item_visitor also, void *data)
{
	return take(realm, NULL, also, data);
}

void segments_free(struct segments *segments)
{
	size_t bytes = segments_bytes(segments);

	g_array_unref(segments->rows);
	g_array_unref(segments->totals);
	g_string_chunk_free(segments->strings);
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
	return segments->rows->len;
}

const struct segments_row *segments_at(const struct segments *segments, size_t index)
{
	return &g_array_index(segments->rows, struct segments_row, index);
}

size_t segments_bytes(const struct segments *segments)
{
	return segments->rows->len * sizeof(struct segments_row) + segments->string_bytes;
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

	if (row == 0)
		g_string_append(out,
			"KIND\tID\tNAME\tPERMS\tUID\tGID\tSIZE\tALLOCATED\tRESIDENT\tMAPPINGS\t"
			"PROCESSES\tOPENERS\tSTATE\tMTIME\tSWAPPED\tREFERENCES\tHIDDEN\t"
			"SINCE\n");
	else if (row <= segments->rows->len)
		table_row(&g_array_index(segments->rows, struct segments_row, row - 1), out);
	else
		g_string_append(out, segments->incomplete_line);
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
	if (row->of_kind)
		g_string_append_printf(out, ",%s", row->of_kind);
	g_string_append_c(out, '}');
}

static void format_json(const void *snapshot, size_t row, GString *out)
{
	const struct segments *segments = snapshot;

	if (row == 0) {
		g_string_append(out, "{\"segments\":[");
	} else if (row <= segments->rows->len) {
		g_string_append(out, row == 1 ? "\n" : ",\n");
		append_json_row(segments_at(segments, row - 1), out);
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
		.n = segments->rows->len + 2,
		.bytes = segments_bytes(segments),
		.snapshot = segments,
		.format = format,
		.free = free_snapshot,
	};
}

struct view_rows segments_table(const struct realm *realm)
{
	return rows_of(segments_take(realm), format_table);
}

struct view_rows segments_json(const struct realm *realm, const struct caller *caller)
{
	return rows_of(take(realm, caller, NULL, NULL), format_json);
}

void segments_each_total(const struct segments *segments,
	void (*visit)(const struct segments_total *total, void *data), void *data)
{
	for (guint i = 0; i < segments->totals->len; i++)
		visit(&g_array_index(segments->totals, struct segments_total, i), data);
}

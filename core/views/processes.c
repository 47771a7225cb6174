/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/processes.h"

#include "base/format.h"
#include "base/json.h"
#include "base/util.h"
#include "caller/sight.h"
#include "kinds/realms.h"
#include "procfs/process-facts.h"

#include <inttypes.h>
#include <string.h>

/* What a process or a group has of the segments. */
struct sums {
	uint64_t segments, mappings, descriptors;
	uint64_t size;  /* bytes, of the segments in full */
	uint64_t share; /* bytes */
};

struct process_row {
	pid_t pid;
	uid_t uid;
	bool seen;
	const char *command; /* the census's, until it is known to be shown */
	const char *unit, *cmdline;
	uint64_t born;
	guint32 group; /* index of its control group */
	guint32 edge;  /* index of its last edge, plus 1 */
	struct sums sums;
};

struct group_row {
	const char *path, *unit;
	uint64_t processes;
	struct sums sums;
};

struct processes {
	GArray *rows;   /* of struct process_row: those seen, by pid */
	GArray *groups; /* of struct group_row, by path */
	GStringChunk *strings;
	size_t string_bytes;
	uint64_t hidden; /* processes that the caller may not see */
	unsigned failures;
};

/* One process's part of one segment. */
struct edge {
	guint32 segment, process; /* indices */
	uint64_t mappings, descriptors;
};

struct taken_segment {
	uint64_t size, memory; /* bytes */
	guint32 users;         /* processes */
};

struct taking {
	const struct realm *realm;
	GArray *processes;   /* of struct process_row */
	GHashTable *indices; /* pid: index of the process, plus 1 */
	GArray *segments;    /* of struct taken_segment */
	GArray *edges;       /* of struct edge, those of one segment together */
	unsigned failures;   /* kinds that could not be listed */
};

static struct process_row *process_at(const GArray *rows, guint index)
{
	return &g_array_index(rows, struct process_row, index);
}

static guint32 process_index(struct taking *taking, pid_t pid, uid_t uid, const char *command)
{
	struct process_row row = { .pid = pid, .uid = uid, .command = command };
	guint32 index =
		GPOINTER_TO_UINT(g_hash_table_lookup(taking->indices, GINT_TO_POINTER(pid)));

	if (index > 0)
		return index - 1;
	g_array_append_val(taking->processes, row);
	g_hash_table_insert(taking->indices, GINT_TO_POINTER(pid),
		GUINT_TO_POINTER(taking->processes->len));
	return taking->processes->len - 1;
}

/* The edge between that process and the segment that is being looked at. */
static struct edge *edge_of(struct taking *taking, guint32 process)
{
	struct process_row *row = process_at(taking->processes, process);
	struct edge fresh = { .segment = taking->segments->len - 1, .process = process };

	if (row->edge == 0 ||
		g_array_index(taking->edges, struct edge, row->edge - 1).segment != fresh.segment) {
		g_array_append_val(taking->edges, fresh);
		row->edge = taking->edges->len;
	}
	return &g_array_index(taking->edges, struct edge, row->edge - 1);
}

static void add_mapping(const struct mapping_row *row, void *data)
{
	edge_of(data, process_index(data, row->pid, row->uid, row->command))->mappings++;
}

static void add_descriptor(const struct descriptor_row *row, void *data)
{
	edge_of(data, process_index(data, row->pid, row->uid, row->command))->descriptors++;
}

static uint64_t memory_of(const struct realm *realm, const struct item *item)
{
	struct item full = *item;

	if (item->kind->residency)
		item->kind->residency(realm, &full);
	if (full.resident == BYTES_UNKNOWN)
		return full.allocated == BYTES_UNKNOWN ? 0 : full.allocated;
	return full.resident + (full.swapped == BYTES_UNKNOWN ? 0 : full.swapped);
}

static void take_item(const struct item *item, void *data)
{
	struct taking *taking = data;
	struct taken_segment segment = { .size = item->size };
	struct usage usage;
	guint first = taking->edges->len;

	if (!item->segment)
		return;
	usage = census_usage(taking->realm->census, &item->key);
	if (usage.mappings == 0 && usage.openers == 0)
		return;
	segment.memory = memory_of(taking->realm, item);
	g_array_append_val(taking->segments, segment);
	census_each_mapping(taking->realm->census, &item->key, add_mapping, taking);
	census_each_descriptor(taking->realm->census, &item->key, add_descriptor, taking);
	g_array_index(taking->segments, struct taken_segment, taking->segments->len - 1).users =
		taking->edges->len - first;
}

static const char *keep(struct processes *processes, const char *text)
{
	processes->string_bytes += strlen(text) + 1;
	return g_string_chunk_insert(processes->strings, text);
}

static guint32 group_index(struct processes *processes, GHashTable *groups,
	const struct process_facts *facts)
{
	struct group_row row = { 0 };
	guint32 index = GPOINTER_TO_UINT(g_hash_table_lookup(groups, facts->cgroup));

	if (index > 0)
		return index - 1;
	row.path = keep(processes, facts->cgroup);
	row.unit = keep(processes, facts->unit);
	g_array_append_val(processes->groups, row);
	g_hash_table_insert(groups, (gpointer)row.path, GUINT_TO_POINTER(processes->groups->len));
	return processes->groups->len - 1;
}

/* Learns which processes the caller sees, and as the caller what is said of these. */
static void look_as(struct processes *processes, struct taking *taking, const char *proc,
	const struct caller *caller)
{
	g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);
	struct process_facts facts = { 0 };
	struct caller_sight sight;

	caller_sight_begin(&sight, proc, caller);
	for (guint i = 0; i < taking->processes->len; i++) {
		struct process_row *row = process_at(taking->processes, i);

		row->seen = caller_sees_memory(&sight, row->pid);
		if (!row->seen) {
			processes->hidden++;
			continue;
		}
		process_facts_read(proc, row->pid, &facts);
		row->command = keep(processes, row->command);
		row->unit = keep(processes, facts.unit);
		row->cmdline = keep(processes, facts.cmdline);
		row->born = facts.born;
		row->group = group_index(processes, groups, &facts);
	}
	caller_sight_end(&sight);
}

static void add_edge(struct sums *sums, const struct edge *edge,
	const struct taken_segment *segment, bool counted)
{
	sums->mappings += edge->mappings;
	sums->descriptors += edge->descriptors;
	sums->share += segment->memory / segment->users;
	if (counted)
		return;
	sums->segments++;
	sums->size += segment->size;
}

/* A group has a segment once, however many of its processes use it. */
static void add_up(struct processes *processes, const struct taking *taking)
{
	g_autofree guint32 *last = g_new0(guint32, processes->groups->len + 1);

	for (guint i = 0; i < taking->edges->len; i++) {
		const struct edge *edge = &g_array_index(taking->edges, struct edge, i);
		const struct taken_segment *segment =
			&g_array_index(taking->segments, struct taken_segment, edge->segment);
		struct process_row *row = process_at(taking->processes, edge->process);
		struct group_row *group;

		if (!row->seen)
			continue;
		group = &g_array_index(processes->groups, struct group_row, row->group);
		if (row->sums.segments == 0)
			group->processes++;
		add_edge(&row->sums, edge, segment, false);
		add_edge(&group->sums, edge, segment, last[row->group] == edge->segment + 1);
		last[row->group] = edge->segment + 1;
	}
}

static gint by_pid(gconstpointer a, gconstpointer b)
{
	return ((const struct process_row *)a)->pid - ((const struct process_row *)b)->pid;
}

static gint by_path(gconstpointer a, gconstpointer b)
{
	return strcmp(((const struct group_row *)a)->path, ((const struct group_row *)b)->path);
}

static void take_realm(struct taking *taking, const struct realm *realm)
{
	taking->realm = realm;
	for (const struct kind *const *kind = kinds; *kind; kind++)
		if ((*kind)->data != DATA_NONE && (*kind)->present(realm) &&
			(*kind)->each(realm, take_item, taking) < 0)
			taking->failures++;
}

static void close_realm(gpointer realm)
{
	realms_close(realm);
}

/* Those of others, opened. One whose last process ends meanwhile is left out. */
static GArray *open_realms(const struct realm *own)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	GArray *opened = g_array_new(FALSE, FALSE, sizeof(struct realm));
	struct realm realm;
	unsigned unreadable;

	g_array_set_clear_func(opened, close_realm);
	if (realms_find(own, found, &unreadable) < 0)
		return opened;
	for (guint i = 0; i < found->len; i++)
		if (realms_open_found(own, &g_array_index(found, struct foreign_realm, i),
			    &realm) == 0)
			g_array_append_val(opened, realm);
	return opened;
}

/* The census is held. */
static struct processes *take_all(struct taking *taking, const struct realm *own,
	const GArray *others, const struct caller *caller)
{
	struct processes *processes = g_new0(struct processes, 1);

	processes->rows = g_array_new(FALSE, FALSE, sizeof(struct process_row));
	processes->groups = g_array_new(FALSE, FALSE, sizeof(struct group_row));
	processes->strings = g_string_chunk_new(4096);
	take_realm(taking, own);
	for (guint i = 0; i < others->len; i++)
		take_realm(taking, &g_array_index(others, struct realm, i));
	processes->failures = taking->failures;
	look_as(processes, taking, own->proc, caller);
	add_up(processes, taking);
	for (guint i = 0; i < taking->processes->len; i++)
		if (process_at(taking->processes, i)->seen)
			g_array_append_vals(processes->rows, process_at(taking->processes, i), 1);
	g_array_sort(processes->rows, by_pid);
	/* The indices of the groups are not needed any more. */
	g_array_sort(processes->groups, by_path);
	return processes;
}

/* The last lines of a table: what it lacks. */
static void table_end(const struct processes *processes, GString *out)
{
	if (processes->failures > 0)
		g_string_append_printf(out, "# not read: %u kinds\n", processes->failures);
	if (processes->hidden > 0)
		g_string_append_printf(out, "# %" PRIu64 " not shown\n", processes->hidden);
}

static void table_process(const struct process_row *row, GString *out)
{
	g_string_append_printf(out, "%d\t%u\t", row->pid, row->uid);
	format_escaped(out, row->command);
	g_string_append_c(out, '\t');
	format_escaped(out, row->unit);
	if (row->born > 0)
		g_string_append_printf(out, "\t%" PRIu64, row->born);
	else
		g_string_append(out, "\t-");
	g_string_append_printf(out,
		"\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t",
		row->sums.segments, row->sums.mappings, row->sums.descriptors, row->sums.size,
		row->sums.share);
	format_escaped(out, *row->cmdline ? row->cmdline : "-");
	g_string_append_c(out, '\n');
}

static void format_process_table(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;

	if (row == 0)
		g_string_append(out,
			"PID\tUID\tCOMMAND\tUNIT\tBORN\tSEGMENTS\tMAPPINGS\tDESCRIPTORS\tSIZE\t"
			"SHARE\tCMDLINE\n");
	else if (row <= processes->rows->len)
		table_process(process_at(processes->rows, row - 1), out);
	else
		table_end(processes, out);
}

static const struct group_row *group_at(const struct processes *processes, size_t index)
{
	return &g_array_index(processes->groups, struct group_row, index);
}

static void table_group(const struct group_row *row, GString *out)
{
	format_escaped(out, *row->path ? row->path : "-");
	g_string_append_c(out, '\t');
	format_escaped(out, row->unit);
	g_string_append_printf(out, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n",
		row->processes, row->sums.segments, row->sums.size, row->sums.share);
}

static void format_group_table(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;

	if (row == 0)
		g_string_append(out, "CGROUP\tUNIT\tPROCESSES\tSEGMENTS\tSIZE\tSHARE\n");
	else if (row <= processes->groups->len)
		table_group(group_at(processes, row - 1), out);
	else
		table_end(processes, out);
}

static void json_process(struct json *json, const struct process_row *row)
{
	format_json_number(json, "pid", row->pid);
	format_json_number(json, "uid", row->uid);
	format_json_bytes(json, "command", row->command);
	format_json_bytes(json, "unit", row->unit);
	format_json_number(json, "born", row->born > 0 ? row->born : UINT64_MAX);
	format_json_number(json, "segments", row->sums.segments);
	format_json_number(json, "mappings", row->sums.mappings);
	format_json_number(json, "descriptors", row->sums.descriptors);
	format_json_number(json, "size", row->sums.size);
	format_json_number(json, "share", row->sums.share);
	format_json_bytes(json, "cmdline", row->cmdline);
}

static void json_group(struct json *json, const struct group_row *row)
{
	format_json_bytes(json, "cgroup", row->path);
	format_json_bytes(json, "unit", row->unit);
	format_json_number(json, "processes", row->processes);
	format_json_number(json, "segments", row->sums.segments);
	format_json_number(json, "size", row->sums.size);
	format_json_number(json, "share", row->sums.share);
}

static void json_end(const struct processes *processes, GString *out)
{
	g_string_append_printf(out, "\n],\"not_shown\":%" PRIu64, processes->hidden);
	if (processes->failures > 0)
		g_string_append_printf(out, ",\"incomplete\":\"%u kinds\"", processes->failures);
	g_string_append(out, "}\n");
}

static void begin_object(struct json *json, bool first, GString *out)
{
	g_string_append(out, first ? "\n" : ",\n");
	format_json_line(json, out);
	format_json_object(json, NULL);
}

static void format_process_json(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;
	struct json json;

	if (row == 0) {
		g_string_append(out, "{\"processes\":[");
	} else if (row > processes->rows->len) {
		json_end(processes, out);
	} else {
		begin_object(&json, row == 1, out);
		json_process(&json, process_at(processes->rows, row - 1));
		format_json_end(&json);
	}
}

static void format_group_json(const void *snapshot, size_t row, GString *out)
{
	const struct processes *processes = snapshot;
	struct json json;

	if (row == 0) {
		g_string_append(out, "{\"cgroups\":[");
	} else if (row > processes->groups->len) {
		json_end(processes, out);
	} else {
		begin_object(&json, row == 1, out);
		json_group(&json, group_at(processes, row - 1));
		format_json_end(&json);
	}
}

static size_t count_bytes(const struct processes *processes)
{
	return processes->rows->len * sizeof(struct process_row) +
		processes->groups->len * sizeof(struct group_row) + processes->string_bytes;
}

static void free_snapshot(void *snapshot)
{
	struct processes *processes = snapshot;
	size_t bytes = count_bytes(processes);

	g_array_unref(processes->rows);
	g_array_unref(processes->groups);
	g_string_chunk_free(processes->strings);
	g_free(processes);
	memory_freed(bytes);
}

/* A header, the rows, and an end. */
static struct view_rows view_as(struct processes *processes, enum processes_form form)
{
	static void (*const formats[])(const void *snapshot, size_t row, GString *out) = {
		[PROCESSES_TABLE] = format_process_table,
		[PROCESSES_JSON] = format_process_json,
		[CGROUPS_TABLE] = format_group_table,
		[CGROUPS_JSON] = format_group_json,
	};
	bool groups = form == CGROUPS_TABLE || form == CGROUPS_JSON;

	return (struct view_rows){
		.n = (groups ? processes->groups->len : processes->rows->len) + 2,
		.bytes = count_bytes(processes),
		.snapshot = processes,
		.format = formats[form],
		.free = free_snapshot,
	};
}

int processes_take(const struct realm *own, const struct caller *caller, enum processes_form form,
	struct view_rows *out)
{
	g_autoptr(GHashTable) indices = g_hash_table_new(NULL, NULL);
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct process_row));
	g_autoptr(GArray) segments = g_array_new(FALSE, FALSE, sizeof(struct taken_segment));
	g_autoptr(GArray) edges = g_array_new(FALSE, FALSE, sizeof(struct edge));
	struct taking taking = { own, all, indices, segments, edges, 0 };
	/* Before the census, which counts what is in their file systems from its next pass on. */
	g_autoptr(GArray) others = open_realms(own);
	int r = census_hold(own->census, CENSUS_MAPPINGS | CENSUS_DESCRIPTORS);

	if (r < 0)
		return r;
	*out = view_as(take_all(&taking, own, others, caller), form);
	census_release(own->census);
	return 0;
}

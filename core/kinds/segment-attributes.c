/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The attributes that every segment has: who uses it, and how much of it is in memory. */
#include "caller/sight.h"
#include "kinds/incomplete.h"
#include "kinds/info-json.h"
#include "kinds/item-use.h"
#include "procfs/process-facts.h"
#include "kinds/kind.h"
#include "base/format.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>

static int show_usage(const struct view *view, const struct attribute *self, GString *out)
{
	struct usage usage = census_usage(view->realm->census, &view->item->key);
	const uint64_t *count = (const uint64_t *)((const char *)&usage + self->offset);

	g_string_append_printf(out, "%" PRIu64 "\n", *count);
	return 0;
}

static int show_residency(const struct view *view, const struct attribute *self, GString *out)
{
	struct item item = *view->item;
	const uint64_t *bytes = (const uint64_t *)((const char *)&item + self->offset);

	if (*bytes == BYTES_UNKNOWN && !view->filled && item.kind->residency) {
		int r = item.kind->residency(view->realm, &item);

		if (r < 0)
			return r;
	}
	format_count(out, *bytes);
	g_string_append_c(out, '\n');
	return 0;
}

static int show_state(const struct view *view, const struct attribute *self, GString *out)
{
	struct item_use use;

	(void)self;
	item_use(view->realm, view->item, &use);
	g_string_append_printf(out, "%s\n", segment_state_name(use.state));
	return 0;
}

static bool show_state_of_object(const struct view *view, bool wait, GString *out)
{
	enum segment_state state;

	if (!item_state_of_object(view->realm, view->item, wait, &state))
		return false;
	g_string_append_printf(out, "%s\n", segment_state_name(state));
	return true;
}

static int show_references(const struct view *view, const struct attribute *self, GString *out)
{
	struct references references = item_references(view->realm, view->item);

	format_count(out, *(const uint64_t *)((const char *)&references + self->offset));
	g_string_append_c(out, '\n');
	return 0;
}

/*
 * A table of rows, as text or as JSON. The row of a process of which procfs would not show it to
 * the reader is only counted: its addresses would tell how that address space is laid out.
 */
struct table_writer {
	struct caller_sight sight; /* of the reader */
	const char *proc;
	struct process_facts facts; /* of the process of the last row */
	GString *out;               /* one of the two */
	JsonBuilder *builder;
	uint64_t hidden;
};

static bool may_see(struct table_writer *writer, pid_t pid)
{
	if (caller_sees_memory(&writer->sight, pid))
		return true;
	writer->hidden++;
	return false;
}

static void end_text(const struct view *view, const struct table_writer *writer)
{
	if (writer->hidden > 0)
		g_string_append_printf(writer->out, "# %" PRIu64 " not shown\n", writer->hidden);
	incomplete_line(view->realm->census, 0, writer->out);
}

static void begin_json(const struct table_writer *writer, const char *name)
{
	json_builder_set_member_name(writer->builder, name);
	json_builder_begin_array(writer->builder);
}

static void end_json(const struct table_writer *writer, const char *name)
{
	g_autofree char *member = g_strconcat(name, "_not_shown", NULL);

	json_builder_end_array(writer->builder);
	json_builder_set_member_name(writer->builder, member);
	json_builder_add_int_value(writer->builder, writer->hidden);
}

static void json_process(JsonBuilder *builder, pid_t pid, uid_t uid, const char *command)
{
	format_json_number(builder, "pid", pid);
	format_json_number(builder, "uid", uid);
	format_json_bytes(builder, "command", command);
}

/*
 * The columns that come last, of a process that the reader may see. They are read as the rows are
 * written: one that is gone by then has none.
 */
static void text_facts(struct table_writer *writer, pid_t pid)
{
	const struct process_facts *facts = &writer->facts;

	process_facts_read(writer->proc, pid, &writer->facts);
	if (facts->born == 0)
		g_string_append(writer->out, "\t-\t");
	else
		g_string_append_printf(writer->out, "\t%" PRIu64 "\t", facts->born);
	format_escaped(writer->out, facts->unit);
	g_string_append_c(writer->out, '\t');
	format_escaped(writer->out, *facts->cmdline ? facts->cmdline : "-");
	g_string_append_c(writer->out, '\n');
}

static void json_facts(struct table_writer *writer, pid_t pid)
{
	const struct process_facts *facts = &writer->facts;

	process_facts_read(writer->proc, pid, &writer->facts);
	format_json_number(writer->builder, "born", facts->born ? facts->born : UINT64_MAX);
	format_json_bytes(writer->builder, "unit", facts->unit);
	format_json_bytes(writer->builder, "cmdline", facts->cmdline);
}

static void text_process(GString *out, pid_t pid, uid_t uid, const char *command)
{
	g_string_append_printf(out, "%d\t%u\t", pid, uid);
	format_escaped(out, command);
}

static void text_mapping(const struct mapping_row *row, void *data)
{
	struct table_writer *writer = data;

	if (!may_see(writer, row->pid))
		return;
	text_process(writer->out, row->pid, row->uid, row->command);
	g_string_append_printf(writer->out, "\t%" PRIx64 "\t%" PRIx64 "\t%s\t%" PRIu64, row->start,
		row->end, row->perms, row->offset);
	text_facts(writer, row->pid);
}

static void json_mapping(const struct mapping_row *row, void *data)
{
	struct table_writer *writer = data;
	char address[24];

	if (!may_see(writer, row->pid))
		return;
	json_builder_begin_object(writer->builder);
	json_process(writer->builder, row->pid, row->uid, row->command);
	/* Text, in hexadecimal: a number of 64 bits is not safe in JSON. */
	g_snprintf(address, sizeof address, "%" PRIx64, row->start);
	format_json_bytes(writer->builder, "start", address);
	g_snprintf(address, sizeof address, "%" PRIx64, row->end);
	format_json_bytes(writer->builder, "end", address);
	format_json_bytes(writer->builder, "perms", row->perms);
	format_json_number(writer->builder, "offset", row->offset);
	json_facts(writer, row->pid);
	json_builder_end_object(writer->builder);
}

static const char *mode_name(int flags)
{
	static const char *const names[] = { [O_RDONLY] = "r", [O_WRONLY] = "w", [O_RDWR] = "rw" };

	if (flags & O_PATH)
		return "path";
	/* O_ACCMODE itself: opened for ioctl(2) alone. */
	return (flags & O_ACCMODE) == O_ACCMODE ? "none" : names[flags & O_ACCMODE];
}

static void text_descriptor(const struct descriptor_row *row, void *data)
{
	struct table_writer *writer = data;

	if (!may_see(writer, row->pid))
		return;
	text_process(writer->out, row->pid, row->uid, row->command);
	g_string_append_printf(writer->out, "\t%d\t%s", row->fd, mode_name(row->flags));
	text_facts(writer, row->pid);
}

static void json_descriptor(const struct descriptor_row *row, void *data)
{
	struct table_writer *writer = data;

	if (!may_see(writer, row->pid))
		return;
	json_builder_begin_object(writer->builder);
	json_process(writer->builder, row->pid, row->uid, row->command);
	format_json_number(writer->builder, "fd", row->fd);
	format_json_bytes(writer->builder, "mode", mode_name(row->flags));
	json_facts(writer, row->pid);
	json_builder_end_object(writer->builder);
}

/* "socket:[12345]" as /proc/PID/fd shows it, "io_uring:5", "loop:0". */
static char *hidden_name(const struct hidden_row *row)
{
	static const char *const formats[] = {
		[HIDDEN_SOCKET] = "socket:[%" PRIu64 "]",
		[HIDDEN_RING] = "io_uring:%" PRIu64,
		[HIDDEN_LOOP] = "loop:%" PRIu64,
	};

	return g_strdup_printf(formats[row->type], row->number);
}

/* Loop devices and their files everyone sees in sysfs. */
static bool may_see_hidden(struct table_writer *writer, const struct hidden_row *row)
{
	if (row->pid)
		return may_see(writer, row->pid);
	if (row->type == HIDDEN_LOOP || writer->sight.all)
		return true;
	writer->hidden++;
	return false;
}

static void text_hidden(const struct hidden_row *row, void *data)
{
	struct table_writer *writer = data;
	g_autofree char *name = hidden_name(row);

	if (!may_see_hidden(writer, row))
		return;
	text_process(writer->out, row->pid, row->uid, *row->command ? row->command : "-");
	g_string_append_printf(writer->out, "\t%s\t%s", name, mode_name(row->flags));
	if (row->pid)
		text_facts(writer, row->pid);
	else
		g_string_append_printf(writer->out, "\t-\t-\t%s\n", row->swap ? "swap" : "-");
}

static void json_hidden(const struct hidden_row *row, void *data)
{
	struct table_writer *writer = data;
	g_autofree char *name = hidden_name(row);

	if (!may_see_hidden(writer, row))
		return;
	json_builder_begin_object(writer->builder);
	json_process(writer->builder, row->pid, row->uid, row->command);
	format_json_bytes(writer->builder, "fd", name);
	format_json_bytes(writer->builder, "mode", mode_name(row->flags));
	if (row->pid)
		json_facts(writer, row->pid);
	json_builder_set_member_name(writer->builder, "swap");
	json_builder_add_boolean_value(writer->builder, row->swap);
	json_builder_end_object(writer->builder);
}

static void keep_hidden(const struct hidden_row *row, void *data)
{
	g_array_append_vals(data, row, 1);
}

/* Taken before the thread looks as the caller, who may not ask the kernel for this. */
static GArray *take_hidden(const struct view *view)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct hidden_row));
	struct object_now now = { 0 };

	/* A System V segment is found by its inode: see item_references(). */
	if (view->item->key.class != SEGMENT_SYSV ||
		(view->item->kind->look &&
			view->item->kind->look(view->realm, view->item, true, &now) == 0))
		census_each_hidden(view->realm->census, &view->item->key, now.inode, keep_hidden,
			rows);
	return rows;
}

static void each_holder(const struct view *view, struct table_writer *writer,
	void (*descriptor)(const struct descriptor_row *row, void *data),
	void (*hidden)(const struct hidden_row *row, void *data))
{
	g_autoptr(GArray) rows = take_hidden(view);

	caller_sight_begin(&writer->sight, view->realm->proc, &view->caller);
	census_each_descriptor(view->realm->census, &view->item->key, descriptor, writer);
	for (guint i = 0; i < rows->len; i++)
		hidden(&g_array_index(rows, struct hidden_row, i), writer);
	caller_sight_end(&writer->sight);
}

static int show_mappers(const struct view *view, const struct attribute *self, GString *out)
{
	struct table_writer writer = { .out = out, .proc = view->realm->proc };

	(void)self;
	g_string_append(out, "PID\tUID\tCOMMAND\tSTART\tEND\tPERMS\tOFFSET\tBORN\tUNIT\tCMDLINE\n");
	caller_sight_begin(&writer.sight, view->realm->proc, &view->caller);
	census_each_mapping(view->realm->census, &view->item->key, text_mapping, &writer);
	caller_sight_end(&writer.sight);
	end_text(view, &writer);
	return 0;
}

static int json_mappers(const struct view *view, const struct attribute *self, JsonBuilder *builder)
{
	struct table_writer writer = { .builder = builder, .proc = view->realm->proc };

	begin_json(&writer, self->name);
	caller_sight_begin(&writer.sight, view->realm->proc, &view->caller);
	census_each_mapping(view->realm->census, &view->item->key, json_mapping, &writer);
	caller_sight_end(&writer.sight);
	end_json(&writer, self->name);
	return 0;
}

static int show_holders(const struct view *view, const struct attribute *self, GString *out)
{
	struct table_writer writer = { .out = out, .proc = view->realm->proc };

	(void)self;
	g_string_append(out, "PID\tUID\tCOMMAND\tFD\tMODE\tBORN\tUNIT\tCMDLINE\n");
	each_holder(view, &writer, text_descriptor, text_hidden);
	end_text(view, &writer);
	return 0;
}

static int json_holders(const struct view *view, const struct attribute *self, JsonBuilder *builder)
{
	struct table_writer writer = { .builder = builder, .proc = view->realm->proc };

	begin_json(&writer, self->name);
	each_holder(view, &writer, json_descriptor, json_hidden);
	end_json(&writer, self->name);
	return 0;
}

const struct attribute segment_attributes[] = {
	{ "mappings", FORM_NUMBER, CENSUS_MAPPINGS, show_usage, offsetof(struct usage, mappings) },
	{ "processes", FORM_NUMBER, CENSUS_MAPPINGS, show_usage,
		offsetof(struct usage, processes) },
	{ "openers", FORM_NUMBER, CENSUS_DESCRIPTORS, show_usage, offsetof(struct usage, openers) },
	{ "references", FORM_NUMBER, CENSUS_ALL, show_references,
		offsetof(struct references, count) },
	{ "hidden", FORM_NUMBER, CENSUS_ALL, show_references, offsetof(struct references, hidden) },
	{ "resident", FORM_NUMBER, 0, show_residency, offsetof(struct item, resident) },
	{ "swapped", FORM_NUMBER, 0, show_residency, offsetof(struct item, swapped) },
	{ "state", FORM_TEXT, CENSUS_ALL, show_state, .quick = show_state_of_object },
	{ "mappers", FORM_OTHER, CENSUS_MAPPINGS, show_mappers, .json = json_mappers },
	{ "holders", FORM_OTHER, CENSUS_ALL, show_holders, .json = json_holders },
	{ "info.json", FORM_OTHER, 0, info_show, .slow = true },
	{ NULL },
};

const struct attribute plain_attributes[] = {
	{ "info.json", FORM_OTHER, 0, info_show, .slow = true },
	{ NULL },
};

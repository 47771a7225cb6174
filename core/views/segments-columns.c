/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/segments-columns.h"

#include "base/format.h"
#include "base/units.h"

#include <inttypes.h>
#include <stddef.h>

#define VALUE(type, row, column) (*(const type *)((const char *)(row) + (column)->offset))

static void append_text(const struct segments_row *row, const struct segments_column *self,
	GString *out)
{
	format_escaped(out, VALUE(char *, row, self));
}

static void append_perms(const struct segments_row *row, const struct segments_column *self,
	GString *out)
{
	(void)self;
	g_string_append_printf(out, "%04o", row->mode & 07777u);
}

/* The kernel's ids have 32 bits. */
static void append_id(const struct segments_row *row, const struct segments_column *self,
	GString *out)
{
	g_string_append_printf(out, "%" PRIu32, VALUE(uint32_t, row, self));
}

static void append_count(const struct segments_row *row, const struct segments_column *self,
	GString *out)
{
	format_count(out, VALUE(uint64_t, row, self));
}

static void append_state(const struct segments_row *row, const struct segments_column *self,
	GString *out)
{
	(void)self;
	g_string_append(out, segment_state_name(row->state));
}

static void append_time(const struct segments_row *row, const struct segments_column *self,
	GString *out)
{
	format_time(out, &VALUE(struct timespec, row, self));
}

static void append_since(const struct segments_row *row, const struct segments_column *self,
	GString *out)
{
	if (row->state == STATE_IDLE)
		append_time(row, self, out);
	else
		g_string_append_c(out, '-');
}

#define AT(member) offsetof(struct segments_row, member)

const struct segments_column segments_columns[] = {
	{ "KIND", COLUMN_TEXT, append_text, AT(label) },
	{ "ID", COLUMN_TEXT, append_text, AT(id) },
	{ "NAME", COLUMN_TEXT, append_text, AT(name) },
	{ "PERMS", COLUMN_TEXT, append_perms },
	{ "UID", COLUMN_NUMBER, append_id, AT(uid) },
	{ "GID", COLUMN_NUMBER, append_id, AT(gid) },
	{ "SIZE", COLUMN_BYTES, append_count, AT(size) },
	{ "ALLOCATED", COLUMN_BYTES, append_count, AT(allocated) },
	{ "RESIDENT", COLUMN_BYTES, append_count, AT(resident) },
	{ "MAPPINGS", COLUMN_NUMBER, append_count, AT(usage.mappings) },
	{ "PROCESSES", COLUMN_NUMBER, append_count, AT(usage.processes) },
	{ "OPENERS", COLUMN_NUMBER, append_count, AT(usage.openers) },
	{ "STATE", COLUMN_TEXT, append_state },
	{ "MTIME", COLUMN_TIME, append_time, AT(mtime) },
	{ "SWAPPED", COLUMN_BYTES, append_count, AT(swapped) },
	{ "REFERENCES", COLUMN_NUMBER, append_count, AT(references) },
	{ "HIDDEN", COLUMN_NUMBER, append_count, AT(hidden) },
	{ "SINCE", COLUMN_TIME, append_since, AT(since) },
	{ NULL },
};

const struct segments_column *segments_column_find(const char *name)
{
	for (const struct segments_column *column = segments_columns; column->name; column++)
		if (g_ascii_strcasecmp(column->name, name) == 0)
			return column;
	return NULL;
}

const char *segments_column_text(const struct segments_column *column,
	const struct segments_row *row)
{
	return column->append == append_text ? VALUE(char *, row, column) : NULL;
}

const struct timespec *segments_column_time(const struct segments_column *column,
	const struct segments_row *row)
{
	return &VALUE(struct timespec, row, column);
}

bool segments_column_value(const struct segments_column *column, const struct segments_row *row,
	int64_t *out)
{
	if (column->form == COLUMN_TEXT)
		return false;
	if (column->form == COLUMN_TIME) {
		const struct timespec *time = &VALUE(struct timespec, row, column);

		*out = units_nanoseconds(time);
		return column->append != append_since || row->state == STATE_IDLE;
	}
	if (column->append == append_id) {
		*out = VALUE(uint32_t, row, column);
		return true;
	}
	*out = VALUE(int64_t, row, column);
	return VALUE(uint64_t, row, column) != BYTES_UNKNOWN;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "list/columns.h"

#include "base/format.h"
#include "base/units.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>

static const struct list_column own_columns[] = {
	{ "USER", LIST_USER, NULL },
	{ "GROUP", LIST_GROUP, NULL },
	{ "AGE", LIST_AGE, NULL },
};

static GPtrArray *make_columns(void)
{
	static const int forms[] = {
		[COLUMN_TEXT] = LIST_TEXT,
		[COLUMN_NUMBER] = LIST_NUMBER,
		[COLUMN_BYTES] = LIST_BYTES,
		[COLUMN_TIME] = LIST_TIME,
	};
	GPtrArray *columns = g_ptr_array_new();

	for (const struct segments_column *of = segments_columns; of->name; of++) {
		struct list_column *column = g_new(struct list_column, 1);

		*column = (struct list_column){ of->name, forms[of->form], of };
		g_ptr_array_add(columns, column);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(own_columns); i++)
		g_ptr_array_add(columns, (gpointer)&own_columns[i]);
	return columns;
}

/* Those of `segments` in its order, then the others. Made once, and never freed. */
static const GPtrArray *all_columns(void)
{
	static GPtrArray *columns;

	if (!columns)
		columns = make_columns();
	return columns;
}

const struct list_column *list_column_find(const char *name)
{
	const GPtrArray *all = all_columns();

	for (guint i = 0; i < all->len; i++) {
		const struct list_column *column = all->pdata[i];

		if (g_ascii_strcasecmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

GPtrArray *list_columns_parse(const char *names, char **wrong)
{
	g_autoptr(GPtrArray) columns = g_ptr_array_new();
	g_auto(GStrv) pieces = g_strsplit(names, ",", -1);

	for (char **piece = pieces; *piece; piece++) {
		const struct list_column *column = list_column_find(*piece);

		if (!column) {
			*wrong = g_strdup(*piece);
			return NULL;
		}
		g_ptr_array_add(columns, (gpointer)column);
	}
	/* No name at all is split into no piece. */
	if (columns->len == 0) {
		*wrong = g_strdup("");
		return NULL;
	}
	return g_steal_pointer(&columns);
}

GPtrArray *list_columns_default(bool human)
{
	GPtrArray *columns;

	if (human)
		return list_columns_parse(
			"KIND,NAME,USER,SIZE,ALLOCATED,PROCESSES,OPENERS,STATE,AGE,ID", NULL);
	columns = g_ptr_array_new();
	for (const struct segments_column *of = segments_columns; of->name; of++)
		g_ptr_array_add(columns, (gpointer)list_column_find(of->name));
	return columns;
}

/* The last time at which the segment's own times say that something used or changed it. */
static int64_t last_change(const struct segments_row *row)
{
	int64_t times = MAX(units_nanoseconds(&row->mtime), units_nanoseconds(&row->ctime));

	times = MAX(times, row->used * NANOSECONDS);
	return MAX(times, units_nanoseconds(&row->atime));
}

bool list_column_number(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, int64_t *out)
{
	if (column->form == LIST_AGE) {
		*out = MAX(units_nanoseconds(now) - last_change(row), 0);
		return true;
	}
	return column->of && segments_column_value(column->of, row, out);
}

/* The user database may be large or far away, and most segments are of few users. */
static const char *name_of(unsigned id, bool group)
{
	static GHashTable *names[2];
	GHashTable **known = &names[group];
	char *name;

	if (!*known)
		*known = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	name = g_hash_table_lookup(*known, GUINT_TO_POINTER(id));
	if (!name) {
		const struct group *gr = group ? getgrgid(id) : NULL;
		const struct passwd *pw = group ? NULL : getpwuid(id);

		name = gr  ? g_strdup(gr->gr_name) :
			pw ? g_strdup(pw->pw_name) :
			     g_strdup_printf("%u", id);
		g_hash_table_insert(*known, GUINT_TO_POINTER(id), name);
	}
	return name;
}

void list_column_raw(const struct list_column *column, const struct segments_row *row, GString *out)
{
	const char *text = NULL;

	if (column->form == LIST_USER)
		text = name_of(row->uid, false);
	else if (column->form == LIST_GROUP)
		text = name_of(row->gid, true);
	else
		text = segments_column_text(column->of, row);
	if (text)
		g_string_append(out, text);
	else
		column->of->append(row, column->of, out);
}

void list_column_append(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, GString *out)
{
	int64_t value = 0;

	if (column->of) {
		column->of->append(row, column->of, out);
	} else if (column->form == LIST_AGE) {
		list_column_number(column, row, now, &value);
		g_string_append_printf(out, "%" PRId64, value / NANOSECONDS);
	} else {
		format_escaped(out,
			name_of(column->form == LIST_USER ? row->uid : row->gid,
				column->form == LIST_GROUP));
	}
}

/* To the second, in local time. */
static void append_date(GString *out, int64_t value)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(value / NANOSECONDS);
	g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : NULL;

	g_string_append(out, text ? text : "-");
}

void list_column_append_human(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, GString *out)
{
	g_autoptr(GString) raw = NULL;
	int64_t value;

	if (list_column_number(column, row, now, &value)) {
		if (column->form == LIST_BYTES)
			units_format_bytes(out, value);
		else if (column->form == LIST_TIME)
			append_date(out, value);
		else if (column->form == LIST_AGE)
			units_format_duration(out, value);
		else
			g_string_append_printf(out, "%" PRId64, value);
	} else if (column->form == LIST_TEXT || !column->of) {
		raw = g_string_new(NULL);
		list_column_raw(column, row, raw);
		format_readable(out, raw->str);
	} else {
		list_column_append(column, row, now, out);
	}
}

void list_column_json(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, struct json *json)
{
	g_autofree char *key = g_ascii_strdown(column->name, -1);
	g_autoptr(GString) raw = NULL;
	int64_t value = 0;
	bool known = list_column_number(column, row, now, &value);

	if (known && column->form == LIST_TIME) {
		format_json_time(json, key, segments_column_time(column->of, row));
	} else if (known) {
		format_json_number(json, key,
			column->form == LIST_AGE ? value / NANOSECONDS : value);
	} else if (column->form == LIST_TEXT || !column->of) {
		raw = g_string_new(NULL);
		list_column_raw(column, row, raw);
		format_json_bytes(json, key, raw->str);
	} else {
		format_json_null(json, key);
	}
}

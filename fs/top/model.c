/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top/model.h"

#include "base/format.h"
#include "base/units.h"

#include <inttypes.h>
#include <pwd.h>
#include <string.h>

static const struct top_column segment_columns[] = {
	{ "KIND", "KIND", TOP_TEXT, 6 },
	{ "NAME", "NAME", TOP_TEXT, 0 },
	{ "USER", "UID", TOP_USER, 8 },
	{ "ALLOC", "ALLOCATED", TOP_BYTES, 5 },
	{ "GROWN", NULL, TOP_GROWN, 6 },
	{ "/S", NULL, TOP_RATE, 6 },
	{ "MAP", "MAPPINGS", TOP_COUNT, 4 },
	{ "PROC", "PROCESSES", TOP_COUNT, 4 },
	{ "OPEN", "OPENERS", TOP_COUNT, 4 },
	{ "STATE", "STATE", TOP_TEXT, 7 },
	{ NULL },
};

static const struct top_column process_columns[] = {
	{ "PID", "PID", TOP_COUNT, 7 },
	{ "USER", "UID", TOP_USER, 8 },
	{ "COMMAND", "COMMAND", TOP_TEXT, 15 },
	{ "SEGS", "SEGMENTS", TOP_COUNT, 5 },
	{ "SIZE", "SIZE", TOP_BYTES, 5 },
	{ "SHARE", "SHARE", TOP_BYTES, 5 },
	{ "GROWN", NULL, TOP_GROWN, 6 },
	{ "/S", NULL, TOP_RATE, 6 },
	{ "UNIT", "UNIT", TOP_TEXT, 0 },
	{ NULL },
};

static const struct top_column unit_columns[] = {
	{ "PROCS", "PROCESSES", TOP_COUNT, 6 },
	{ "SEGS", "SEGMENTS", TOP_COUNT, 5 },
	{ "SIZE", "SIZE", TOP_BYTES, 5 },
	{ "SHARE", "SHARE", TOP_BYTES, 5 },
	{ "GROWN", NULL, TOP_GROWN, 6 },
	{ "/S", NULL, TOP_RATE, 6 },
	{ "UNIT", "UNIT", TOP_TEXT, 20 },
	{ "CGROUP", "CGROUP", TOP_TEXT, 0 },
	{ NULL },
};

const struct top_view top_views[TOP_VIEWS] = {
	{ "segments", "segments", { "KIND", "ID" }, "ALLOCATED", segment_columns, 3 },
	{ "processes", "processes", { "PID", "BORN" }, "SHARE", process_columns, 5 },
	{ "units", "cgroups", { "CGROUP" }, "SHARE", unit_columns, 3 },
};

/* Of one row, between looks. */
struct top_past {
	int64_t first, last; /* of the measure */
	bool present;        /* in the last table */
};

void top_model_init(struct top_model *model, const struct top_view *view)
{
	*model = (struct top_model){
		.view = view,
		.table = table_parse(""),
		.all = g_array_new(FALSE, FALSE, sizeof(struct top_row)),
		.rows = g_array_new(FALSE, FALSE, sizeof(struct top_row)),
		.sort = view->sorted_by,
		.filter = g_strdup(""),
		.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
	};
}

void top_model_clear(struct top_model *model)
{
	table_free(model->table);
	g_array_unref(model->all);
	g_array_unref(model->rows);
	g_free(model->filter);
	g_hash_table_unref(model->seen);
}

char *top_model_name(const struct top_model *model, guint row)
{
	GString *name = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(model->view->keys) && model->view->keys[i]; i++)
		g_string_append_printf(name, "%s\t",
			table_value(model->table, row,
				table_column(model->table, model->view->keys[i])));
	return g_string_free(name, FALSE);
}

/* What is new since the first look has grown from nothing. */
static struct top_past *past_of(struct top_model *model, guint row, int64_t measure)
{
	char *name = top_model_name(model, row);
	struct top_past *past = g_hash_table_lookup(model->seen, name);

	if (past) {
		g_free(name);
		return past;
	}
	past = g_new0(struct top_past, 1);
	if (model->looked == 0)
		past->first = past->last = measure;
	g_hash_table_insert(model->seen, name, past);
	return past;
}

static gboolean is_gone(gpointer name, gpointer value, gpointer data)
{
	struct top_past *past = value;
	bool gone = !past->present;

	(void)name;
	(void)data;
	past->present = false;
	return gone;
}

static bool contains(const char *text, const char *folded)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	g_autofree char *other = g_utf8_casefold(valid, -1);

	return strstr(other, folded) != NULL;
}

/* In any value of the table's row: a filter may name what is not on the screen. */
static bool is_wanted(const struct top_model *model, guint row, const char *folded)
{
	GStrv values = model->table->rows->pdata[row];

	if (!*folded)
		return true;
	for (; *values; values++)
		if (contains(*values, folded))
			return true;
	return false;
}

static int64_t measure_of(const struct top_model *model, guint row)
{
	return table_number(
		table_value(model->table, row, table_column(model->table, model->view->measure)));
}

void top_model_take(struct top_model *model, struct table *table, int64_t now)
{
	double seconds = (double)(now - model->looked) / G_USEC_PER_SEC;

	table_free(model->table);
	model->table = table;
	g_array_set_size(model->all, 0);
	for (guint i = 0; i < table->rows->len; i++) {
		struct top_row row = { .row = i, .measure = MAX(measure_of(model, i), 0) };
		struct top_past *past = past_of(model, i, row.measure);

		row.grown = row.measure - past->first;
		if (model->looked > 0 && seconds > 0)
			row.rate = (int64_t)((double)(row.measure - past->last) / seconds);
		past->last = row.measure;
		past->present = true;
		g_array_append_val(model->all, row);
	}
	g_hash_table_foreach_remove(model->seen, is_gone, NULL);
	model->looked = now;
	top_model_arrange(model);
}

static int64_t number_of(const struct top_model *model, const struct top_row *row,
	const struct top_column *column)
{
	if (column->form == TOP_GROWN)
		return row->grown;
	if (column->form == TOP_RATE)
		return row->rate;
	return table_number(
		table_value(model->table, row->row, table_column(model->table, column->source)));
}

static bool is_text(const struct top_column *column)
{
	return column->form == TOP_TEXT || column->form == TOP_USER;
}

static const char *text_of(const struct top_model *model, const struct top_row *row,
	const struct top_column *column)
{
	return table_value(model->table, row->row, table_column(model->table, column->source));
}

/* Large numbers first, texts from A to Z; those that are alike in the order of the table. */
static int compare(const void *a, const void *b, void *data)
{
	const struct top_row *one = a, *other = b;
	const struct top_model *model = data;
	const struct top_column *by = &model->view->columns[model->sort];
	int order;

	if (is_text(by)) {
		order = strcmp(text_of(model, one, by), text_of(model, other, by));
	} else {
		int64_t x = number_of(model, one, by), y = number_of(model, other, by);

		order = x == y ? 0 : x > y ? -1 : 1;
	}
	if (model->backwards)
		order = -order;
	return order ? order : one->row < other->row ? -1 : one->row > other->row;
}

void top_model_arrange(struct top_model *model)
{
	g_autofree char *valid = g_utf8_make_valid(model->filter, -1);
	g_autofree char *folded = g_utf8_casefold(valid, -1);

	g_array_set_size(model->rows, 0);
	for (guint i = 0; i < model->all->len; i++) {
		struct top_row *row = &g_array_index(model->all, struct top_row, i);

		if (is_wanted(model, row->row, folded))
			g_array_append_val(model->rows, *row);
	}
	if (model->rows->len > 0)
		qsort_r(model->rows->data, model->rows->len, sizeof(struct top_row), compare,
			model);
}

int top_model_find(const struct top_model *model, const char *name)
{
	for (guint i = 0; i < model->rows->len; i++) {
		g_autofree char *other =
			top_model_name(model, g_array_index(model->rows, struct top_row, i).row);

		if (strcmp(name, other) == 0)
			return (int)i;
	}
	return -1;
}

static void append_signed(GString *out, int64_t bytes)
{
	if (bytes != 0)
		g_string_append_c(out, bytes < 0 ? '-' : '+');
	units_format_bytes(out, (uint64_t)(bytes < 0 ? -bytes : bytes));
}

/* The user database may be slow: each number is asked for once. */
static void append_user(GString *out, const char *number)
{
	static GHashTable *names;
	char *name;

	if (!names)
		names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	name = g_hash_table_lookup(names, number);
	if (!name) {
		int64_t uid = table_number(number);
		const struct passwd *pw = uid < 0 ? NULL : getpwuid((uid_t)uid);

		name = g_strdup(pw ? pw->pw_name : number);
		g_hash_table_insert(names, g_strdup(number), name);
	}
	format_readable(out, name);
}

/* What the table has escaped is shown so; a byte that is no UTF-8 as well. */
static void append_valid(GString *out, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	g_string_append(out, valid);
}

void top_model_cell(const struct top_model *model, const struct top_row *row,
	const struct top_column *column, GString *out)
{
	int64_t number = is_text(column) ? -1 : number_of(model, row, column);

	if (column->form == TOP_GROWN || column->form == TOP_RATE)
		append_signed(out, number);
	else if (column->form == TOP_USER)
		append_user(out, text_of(model, row, column));
	else if (column->form == TOP_TEXT)
		append_valid(out, text_of(model, row, column));
	else if (number < 0)
		g_string_append_c(out, '?');
	else if (column->form == TOP_BYTES)
		units_format_bytes(out, (uint64_t)number);
	else
		g_string_append_printf(out, "%" PRId64, number);
}

int64_t top_model_sum(const struct top_model *model, const char *source)
{
	int column = table_column(model->table, source);
	int64_t sum = 0;

	for (guint i = 0; i < model->table->rows->len; i++)
		sum += MAX(table_number(table_value(model->table, i, column)), 0);
	return sum;
}

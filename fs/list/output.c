/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "list/output.h"

#include "base/cells.h"
#include "views/segments-format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A row of the segments, and what it is sorted by. */
struct place {
	size_t row;
	bool known;
	int64_t number;
	char *text; /* owned; NULL: it is sorted by the number, or not at all */
};

struct output {
	const struct list_request *request;
	const struct segments *segments;
	const struct timespec *now;
	GArray *places;
};

static void clear_place(gpointer data)
{
	g_free(((struct place *)data)->text);
}

static void set_key(const struct output *output, const struct segments_row *row,
	struct place *place)
{
	const struct list_column *by = output->request->sort;
	GString *text;

	if (!by)
		return;
	place->known = list_column_number(by, row, output->now, &place->number);
	if (place->known || (by->form != LIST_TEXT && by->of))
		return;
	text = g_string_new(NULL);
	list_column_raw(by, row, text);
	place->known = true;
	place->text = g_string_free(text, FALSE);
}

static void choose_rows(struct output *output)
{
	struct segments_row row;

	output->places = g_array_new(FALSE, FALSE, sizeof(struct place));
	g_array_set_clear_func(output->places, clear_place);
	for (size_t i = 0; i < segments_count(output->segments); i++) {
		struct place place = { .row = i };

		segments_get(output->segments, i, &row);
		if (!list_filter_has(output->request->where, &row, output->now))
			continue;
		set_key(output, &row, &place);
		g_array_append_val(output->places, place);
	}
}

/* Large numbers first, texts from A to Z; what is not known is last, whichever way round. */
static int compare(const void *a, const void *b, void *data)
{
	const struct place *one = a, *other = b;
	const struct output *output = data;
	int by = 0;

	if (one->known != other->known)
		return one->known ? -1 : 1;
	if (one->text)
		by = strcmp(one->text, other->text);
	else if (one->number != other->number)
		by = one->number > other->number ? -1 : 1;
	if (output->request->backwards)
		by = -by;
	return by ? by : one->row < other->row ? -1 : one->row > other->row;
}

static void row_at(const struct output *output, guint place, struct segments_row *out)
{
	segments_get(output->segments, g_array_index(output->places, struct place, place).row, out);
}

/* Table */

static void print_table(const struct output *output)
{
	const GPtrArray *columns = output->request->columns;
	g_autoptr(GString) line = g_string_new(NULL);
	struct segments_row row;

	for (guint c = 0; c < columns->len; c++)
		printf("%s%s", c ? "\t" : "",
			((const struct list_column *)columns->pdata[c])->name);
	putchar('\n');
	for (guint i = 0; i < output->places->len; i++) {
		row_at(output, i, &row);
		g_string_truncate(line, 0);
		for (guint c = 0; c < columns->len; c++) {
			if (c)
				g_string_append_c(line, '\t');
			list_column_append(columns->pdata[c], &row, output->now, line);
		}
		g_string_append_c(line, '\n');
		fwrite(line->str, 1, line->len, stdout);
	}
}

/* Table for people */

static bool is_right_aligned(const struct list_column *column)
{
	return column->form == LIST_NUMBER || column->form == LIST_BYTES ||
		column->form == LIST_AGE;
}

/* A cell of the table: row 0 is the header. The caller frees it. */
static char *cell(const struct output *output, guint row, const struct list_column *column,
	const struct segments_row *segment)
{
	GString *text = g_string_new(row == 0 ? column->name : NULL);

	if (row > 0)
		list_column_append_human(column, segment, output->now, text);
	return g_string_free(text, FALSE);
}

/* Calls `visit` with each cell, row by row. */
static void each_cell(const struct output *output,
	void (*visit)(const struct output *output, guint column, const char *text, void *data),
	void *data)
{
	const GPtrArray *columns = output->request->columns;
	struct segments_row segment;

	for (guint row = 0; row <= output->places->len; row++) {
		if (row > 0)
			row_at(output, row - 1, &segment);
		for (guint c = 0; c < columns->len; c++) {
			g_autofree char *text = cell(output, row, columns->pdata[c], &segment);

			visit(output, c, text, data);
		}
	}
}

static void widen(const struct output *output, guint column, const char *text, void *data)
{
	size_t *widths = data;

	(void)output;
	widths[column] = MAX(widths[column], cells_width(text));
}

struct printing {
	const size_t *widths;
	GString *line;
};

static void print_cell(const struct output *output, guint column, const char *text, void *data)
{
	const GPtrArray *columns = output->request->columns;
	struct printing *printing = data;
	bool right = is_right_aligned(columns->pdata[column]), last = column + 1 == columns->len;

	if (column > 0)
		g_string_append(printing->line, "  ");
	cells_pad(printing->line, text, last && !right ? 0 : printing->widths[column], right);
	if (!last)
		return;
	puts(printing->line->str);
	g_string_truncate(printing->line, 0);
}

static void print_human(const struct output *output)
{
	g_autofree size_t *widths = g_new0(size_t, output->request->columns->len);
	g_autoptr(GString) line = g_string_new(NULL);

	each_cell(output, widen, widths);
	each_cell(output, print_cell, &(struct printing){ widths, line });
}

/* JSON */

static void append_object(const struct output *output, const struct segments_row *row, GString *out)
{
	const GPtrArray *columns = output->request->columns;
	struct json json;

	if (!columns) {
		segments_json_row(row, out);
		return;
	}
	format_json_line(&json, out);
	format_json_object(&json, NULL);
	for (guint c = 0; c < columns->len; c++)
		list_column_json(columns->pdata[c], row, output->now, &json);
	format_json_end(&json);
}

/* As `segments.json` is. */
static void print_json(const struct output *output)
{
	g_autoptr(GString) object = g_string_new(NULL);
	struct segments_row row;

	fputs("{\"segments\":[", stdout);
	for (guint i = 0; i < output->places->len; i++) {
		row_at(output, i, &row);
		g_string_truncate(object, 0);
		append_object(output, &row, object);
		printf("%s%s", i ? ",\n" : "\n", object->str);
	}
	printf("\n],%s}\n", segments_incomplete_json(output->segments));
}

int list_output(const struct list_request *request, const struct segments *segments,
	const struct timespec *now)
{
	struct output output = { request, segments, now, NULL };
	int r;

	choose_rows(&output);
	if (request->sort && output.places->len > 0)
		qsort_r(output.places->data, output.places->len, sizeof(struct place), compare,
			&output);
	if (request->json)
		print_json(&output);
	else if (request->human)
		print_human(&output);
	else
		print_table(&output);
	g_array_unref(output.places);
	errno = 0;
	r = fflush(stdout) || ferror(stdout) ? -(errno ? errno : EIO) : 0;
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top/ui.h"

#include "base/cells.h"
#include "base/format.h"
#include "base/units.h"

#include <curses.h>
#include <langinfo.h>
#include <string.h>

/* Two lines and the header above the list, one below it. */
#define HEAD 3
#define FOOT 1

int ui_page(void)
{
	return MAX(LINES - HEAD - FOOT, 1);
}

/* A whole line of the screen, cut off at its end. What the terminal's encoding lacks is a question mark. */
static void put_line(int y, const char *text, attr_t attributes)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	g_autoptr(GString) line = g_string_new(NULL), ascii = g_string_new(NULL);
	bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;

	cells_fit(line, valid, (size_t)COLS, false);
	if (!utf8)
		cells_ascii(ascii, line->str);
	attrset(attributes);
	mvaddstr(y, 0, utf8 ? line->str : ascii->str);
	attrset(A_NORMAL);
}

static void draw_title(struct ui *ui)
{
	const struct top_model *model = ui_model(ui);
	g_autoptr(GString) text = g_string_new("shmtop  ");

	g_string_append_printf(text, "%s  %u %s, ", ui->use, model->all->len, model->view->title);
	units_format_bytes(text,
		(uint64_t)(ui->view == 0 && ui->allocated >= 0 ?
				ui->allocated :
				top_model_sum(model, model->view->measure)));
	g_string_append(text,
		strcmp(model->view->measure, "SHARE") == 0 ? " in shares  " : " allocated  ");
	format_readable(text, ui->mount);
	put_line(0, text->str, A_BOLD);
}

static void draw_state(struct ui *ui)
{
	const struct top_model *model = ui_model(ui);
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < TOP_VIEWS; i++)
		g_string_append_printf(text, i == ui->view ? "[%u %s] " : " %u %s  ", i + 1,
			top_views[i].title);
	g_string_append_printf(text, " by %s%s", model->view->columns[model->sort].title,
		model->backwards ? " (reversed)" : "");
	if (*model->filter)
		g_string_append_printf(text, "  filter: %s (%u)", model->filter, model->rows->len);
	if (ui->paused)
		g_string_append(text, "  PAUSED");
	put_line(1, text->str, A_NORMAL);
}

static int width_of(const struct top_view *view, const struct top_column *column)
{
	int left = COLS;

	if (column->width)
		return column->width;
	for (const struct top_column *c = view->columns; c->title; c++)
		left -= c->width + 1;
	return MAX(left, 8);
}

static bool is_right(const struct top_column *column)
{
	return column->form != TOP_TEXT && column->form != TOP_USER;
}

static void draw_header(const struct top_view *view)
{
	g_autoptr(GString) line = g_string_new(NULL);

	for (const struct top_column *c = view->columns; c->title; c++) {
		cells_fit(line, c->title, width_of(view, c), is_right(c));
		g_string_append_c(line, ' ');
	}
	put_line(2, line->str, A_REVERSE);
}

static void draw_row(const struct top_model *model, const struct top_row *row, int y, bool marked)
{
	g_autoptr(GString) line = g_string_new(NULL), cell = g_string_new(NULL);
	const char *state =
		table_value(model->table, row->row, table_column(model->table, "STATE"));
	attr_t attributes = strcmp(state, "idle") == 0 ? A_DIM : A_NORMAL;

	for (const struct top_column *c = model->view->columns; c->title; c++) {
		g_string_truncate(cell, 0);
		top_model_cell(model, row, c, cell);
		cells_fit(line, cell->str, width_of(model->view, c), is_right(c));
		g_string_append_c(line, ' ');
	}
	put_line(y, line->str, marked ? A_REVERSE : attributes);
}

static void draw_list(struct ui *ui)
{
	const struct top_model *model = ui_model(ui);

	draw_header(model->view);
	ui->selected = CLAMP(ui->selected, 0, MAX((int)model->rows->len - 1, 0));
	ui->first = CLAMP(ui->first, ui->selected - ui_page() + 1, ui->selected);
	ui->first = MAX(ui->first, 0);
	for (int i = 0; i < ui_page() && ui->first + i < (int)model->rows->len; i++)
		draw_row(model, &g_array_index(model->rows, struct top_row, ui->first + i),
			HEAD + i, ui->first + i == ui->selected);
}

static void draw_lines(const struct ui *ui)
{
	for (guint i = 0; i < (guint)ui_page() && ui->line + i < ui->lines->len; i++)
		put_line(HEAD + (int)i, ui->lines->pdata[ui->line + i], A_NORMAL);
}

/* By the name of its directory, which may have any bytes. */
static char *question(const struct ui *ui)
{
	g_autofree char *id = g_path_get_basename(ui->directory);
	GString *text = g_string_new("remove ");

	format_readable(text, id);
	g_string_append(text, ", if nothing uses it? (y/n)");
	return g_string_free(text, FALSE);
}

static void draw_foot(struct ui *ui)
{
	const struct top_model *model = ui_model(ui);
	g_autofree char *text = NULL;

	if (ui->mode == UI_FILTER)
		text = g_strdup_printf("filter: %s_", model->filter);
	else if (ui->mode == UI_ASK)
		text = question(ui);
	else if (ui->message)
		text = g_strdup(ui->message);
	else if (ui->mode == UI_LINES)
		text = g_strdup("q back  up, down, space scroll");
	else if (ui->waited_for[ui->view] && model->looked == 0)
		text = g_strdup_printf("h help  q quit  (waiting for %s)", model->view->file);
	else if (model->table->remark)
		text = g_strdup_printf("h help  q quit  (%s)", model->table->remark);
	else
		text = g_strdup("h help  q quit  Tab view  Enter details  / filter  s sort  r "
				"reverse  d remove");
	put_line(LINES - 1, text, A_BOLD);
}

void ui_draw(struct ui *ui)
{
	erase();
	draw_title(ui);
	draw_state(ui);
	if (ui->mode == UI_LINES)
		draw_lines(ui);
	else
		draw_list(ui);
	draw_foot(ui);
	refresh();
}

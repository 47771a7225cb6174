/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top/ui.h"

#include <curses.h>

/* For 80 columns. */
static const char *const help[] = {
	"up, down, PgUp, PgDn, Home, End, j, k   choose a row",
	"Tab, 1, 2, 3   segments, processes, units",
	"Enter          all that is known of it; of a segment, its mappers and holders",
	"/              show rows that contain a text; Escape takes the text away",
	"s, S           sort by the next column, or by the one before",
	"r              the other way round",
	"d, Delete      remove the segment, after a question, if nothing uses it",
	"p              pause, and go on",
	"+, -           look more often, or less",
	"Ctrl-L         draw anew",
	"q, Escape      back, or quit",
	"",
	"GROWN is since shmtop began, /S in each second since the last look: of ALLOC,",
	"or of SHARE, which is what is left when each segment is divided among its users.",
	"Idle segments, which nothing uses, are dim.",
	NULL,
};

#define ESCAPE 27
#define ENTER '\n'
#define MIN_INTERVAL_MS 250
#define MAX_INTERVAL_MS 64000

static void show_view(struct ui *ui, unsigned view)
{
	ui->view = view % TOP_VIEWS;
	g_clear_pointer(&ui->marked, g_free);
	ui->selected = ui->first = 0;
	ui_refresh(ui);
}

static void sort_by(struct ui *ui, int step)
{
	struct top_model *model = ui_model(ui);
	int n = 0;

	while (model->view->columns[n].title)
		n++;
	model->sort = (model->sort + step + n) % n;
	top_model_arrange(model);
	ui_find_marked(ui);
}

static void show_help(struct ui *ui)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

	for (size_t i = 0; help[i]; i++)
		g_ptr_array_add(lines, g_strdup(help[i]));
	ui_show_lines(ui, lines);
}

static void show_details(struct ui *ui)
{
	const struct top_row *row = ui_selected(ui);

	if (row)
		ui_ask_details(ui, row->row);
}

static void ask_to_remove(struct ui *ui)
{
	const struct top_row *row = ui_selected(ui);

	if (ui->view != 0)
		ui_say(ui, g_strdup("only segments can be removed"));
	if (ui->view != 0 || !row)
		return;
	g_free(ui->directory);
	ui->directory = look_directory(ui->mount, ui_model(ui), row->row);
	ui->mode = UI_ASK;
}

static void answer(struct ui *ui, int key)
{
	ui->mode = UI_LIST;
	if (key == 'y' || key == 'Y')
		ui_remove(ui);
	else
		ui_say(ui, g_strdup("not removed"));
}

static void edit_filter(struct ui *ui, int key)
{
	struct top_model *model = ui_model(ui);
	g_autoptr(GString) filter = g_string_new(model->filter);

	if (key == KEY_BACKSPACE || key == 127 || key == '\b')
		g_string_truncate(filter, filter->len ? filter->len - 1 : 0);
	else if (key == ESCAPE)
		g_string_truncate(filter, 0);
	else if (key >= ' ' && key <= 0xff)
		g_string_append_c(filter, (char)key);
	if (key == ENTER || key == KEY_ENTER || key == ESCAPE)
		ui->mode = UI_LIST;
	g_free(model->filter);
	model->filter = g_strdup(filter->str);
	top_model_arrange(model);
	ui_find_marked(ui);
}

static void scroll_lines(struct ui *ui, int key)
{
	int last = MAX((int)ui->lines->len - ui_page(), 0), line = (int)ui->line;

	if (key == KEY_DOWN || key == 'j')
		line++;
	else if (key == KEY_UP || key == 'k')
		line--;
	else if (key == KEY_NPAGE || key == ' ')
		line += ui_page();
	else if (key == KEY_PPAGE)
		line -= ui_page();
	else if (key != KEY_RESIZE)
		ui->mode = UI_LIST;
	ui->line = (guint)CLAMP(line, 0, last);
}

/* True: the key was to move. */
static bool move_mark(struct ui *ui, int key)
{
	int row = ui->selected;

	if (key == KEY_DOWN || key == 'j')
		row++;
	else if (key == KEY_UP || key == 'k')
		row--;
	else if (key == KEY_NPAGE || key == ' ')
		row += ui_page();
	else if (key == KEY_PPAGE)
		row -= ui_page();
	else if (key == KEY_HOME)
		row = 0;
	else if (key == KEY_END)
		row = G_MAXINT;
	else
		return false;
	ui_select(ui, row);
	return true;
}

static void change_interval(struct ui *ui, int key)
{
	int interval = key == '+' ? ui->interval_ms / 2 : ui->interval_ms * 2;

	ui->interval_ms = CLAMP(interval, MIN_INTERVAL_MS, MAX_INTERVAL_MS);
	ui_say(ui, g_strdup_printf("a look every %g s", ui->interval_ms / 1000.0));
}

static void list_key(struct ui *ui, int key)
{
	switch (key) {
	case '\t':
		show_view(ui, ui->view + 1);
		break;
	case '1':
	case '2':
	case '3':
		show_view(ui, (unsigned)(key - '1'));
		break;
	case ENTER:
	case KEY_ENTER:
		show_details(ui);
		break;
	case '/':
		ui->mode = UI_FILTER;
		break;
	case 's':
	case 'S':
		sort_by(ui, key == 's' ? 1 : -1);
		break;
	case 'r':
		ui_model(ui)->backwards = !ui_model(ui)->backwards;
		sort_by(ui, 0);
		break;
	case 'd':
	case KEY_DC:
		ask_to_remove(ui);
		break;
	case 'p':
		ui->paused = !ui->paused;
		break;
	case '+':
	case '-':
		change_interval(ui, key);
		break;
	case 'h':
	case '?':
		show_help(ui);
		break;
	case '\f':
		clear();
		break;
	case 'q':
	case ESCAPE:
		ui->ended = true;
		break;
	}
}

void ui_key(struct ui *ui, int key)
{
	if (key == KEY_RESIZE)
		return;
	ui_say(ui, NULL);
	if (ui->mode == UI_FILTER)
		edit_filter(ui, key);
	else if (ui->mode == UI_LINES)
		scroll_lines(ui, key);
	else if (ui->mode == UI_ASK)
		answer(ui, key);
	else if (!move_mark(ui, key))
		list_key(ui, key);
}

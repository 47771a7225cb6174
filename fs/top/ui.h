/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the terminal shows now, and what keys do to it. */
#pragma once

#include "top/look.h"

enum ui_mode {
	UI_LIST,
	UI_LINES,  /* details or help: lines to be scrolled */
	UI_FILTER, /* a filter is being typed */
	UI_ASK,    /* whether to remove */
};

struct ui {
	const char *mount;
	struct top_model models[TOP_VIEWS];
	unsigned view;
	enum ui_mode mode;
	int selected, first; /* rows of the list: which is marked, and which is uppermost */
	char *marked;        /* its name, so that it stays marked when the order changes */
	char *use;           /* how full the tmpfs is, or "" */
	int64_t allocated;   /* of all segments; -1: as the table adds up */
	char *message;       /* in the last line until the next key; or NULL */
	GPtrArray *lines;    /* of UI_LINES */
	guint line;          /* the uppermost one */
	char *directory;     /* of UI_ASK: what would be removed */
	int interval_ms;
	GThreadPool *pool;                 /* does jobs */
	GAsyncQueue *done;                 /* of struct job */
	int wakes;                         /* an eventfd(2): there is something in `done` */
	struct job *waited_for[TOP_VIEWS]; /* tables that are being read; NULL: none */
	struct job *details, *removal;     /* likewise */
	bool paused, ended;
};

void ui_init(struct ui *ui, const char *mount, int interval_ms);

static inline struct top_model *ui_model(struct ui *ui)
{
	return &ui->models[ui->view];
}

/* Has the view, or all of them, read anew, unless that is being done already. */
void ui_refresh(struct ui *ui);
void ui_refresh_all(struct ui *ui);

/* Takes what has been done. 0, or a negative errno that says that the mount is gone; others are shown. */
int ui_take(struct ui *ui);

/* The chosen row of the list, or NULL; chooses one; finds the one that was, after rows have moved. */
const struct top_row *ui_selected(struct ui *ui);
void ui_select(struct ui *ui, int row);
void ui_find_marked(struct ui *ui);

/* Shows a message, which it owns, in the last line until the next key. NULL: none. */
void ui_say(struct ui *ui, char *message);

/* Shows lines, which it owns, to be scrolled. */
void ui_show_lines(struct ui *ui, GPtrArray *lines);

/* Shows what is known of a row of the table, and asks for the rest. */
void ui_ask_details(struct ui *ui, guint row);

/* Has `directory` removed, if nothing uses it. */
void ui_remove(struct ui *ui);

/* Takes a key as getch(3) tells it. */
void ui_key(struct ui *ui, int key);

/* How many rows of the list, or lines, the terminal shows. */
int ui_page(void);

/* Draws all of it. */
void ui_draw(struct ui *ui);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What shmtop shows: a view (segments, processes or units) made from a table of the mount, with what has grown
 * since the program began and since the last look; sorted and filtered. Knows no terminal.
 */
#pragma once

#include "top/table.h"

enum top_form {
	TOP_TEXT,
	TOP_COUNT,
	TOP_USER, /* a user's number in the table, the name on the screen */
	TOP_BYTES,
	TOP_GROWN, /* of the view's measure: bytes since the start */
	TOP_RATE,  /* bytes a second since the last look */
};

struct top_column {
	const char *title;  /* on the screen */
	const char *source; /* in the table; NULL of TOP_GROWN and TOP_RATE */
	enum top_form form;
	int width; /* cells; 0: what is left of the line */
};

struct top_view {
	const char *title;
	const char *file;    /* in .shmtree */
	const char *keys[3]; /* columns of the table that name a row together; NULL ends them */
	const char *measure; /* the column whose growth is shown */
	const struct top_column *columns; /* the end has no title */
	int sorted_by;                    /* a column, at first */
};

#define TOP_VIEWS 3
extern const struct top_view top_views[TOP_VIEWS];

struct top_row {
	guint row; /* in the table */
	int64_t measure, grown, rate;
};

struct top_model {
	const struct top_view *view;
	struct table *table;
	GArray *all;  /* of struct top_row: each row of the table */
	GArray *rows; /* likewise: what is to be shown, in order */
	int sort;     /* a column of the view */
	bool backwards;
	char *filter; /* owned; what the text of a row must contain, in upper or lower case; "" */
	GHashTable *seen; /* name of the row: struct top_past */
	int64_t looked;   /* microseconds (g_get_monotonic_time()); 0: never */
};

void top_model_init(struct top_model *model, const struct top_view *view);
void top_model_clear(struct top_model *model);

/* Takes a new table, which it owns from then on, that was read at that time. */
void top_model_take(struct top_model *model, struct table *table, int64_t now);

/* Sorts and filters anew, after `sort`, `backwards` or `filter` were changed. */
void top_model_arrange(struct top_model *model);

/* What the row is called, to find it again after the next look. The caller frees it. */
char *top_model_name(const struct top_model *model, guint row);

/* The place in `rows` of the row with that name, or -1. */
int top_model_find(const struct top_model *model, const char *name);

/* Appends the cell of a row as it is to be shown: valid UTF-8, without characters that a terminal obeys. */
void top_model_cell(const struct top_model *model, const struct top_row *row,
	const struct top_column *column, GString *out);

/* The sums of a column's numbers over all rows, those that the filter hides too. */
int64_t top_model_sum(const struct top_model *model, const char *source);

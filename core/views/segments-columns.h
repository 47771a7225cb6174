/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The columns of a table of segments: of the file `segments`, and of what shows or chooses some of them. */
#pragma once

#include "views/segments.h"

enum column_form {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_BYTES, /* a number of bytes */
	COLUMN_TIME,  /* nanoseconds since 1970 */
};

struct segments_column {
	const char *name; /* upper-case */
	enum column_form form;
	/* Appends what stands in the table. */
	void (*append)(const struct segments_row *row, const struct segments_column *self,
		GString *out);
	size_t offset; /* where in the row the value is */
};

/* In the order of the table; the end has no name. */
extern const struct segments_column segments_columns[];

/* Returns the column of that name, in upper or lower case, or NULL. */
const struct segments_column *segments_column_find(const char *name);

/* The value of a column that is text, as it is; NULL: append() alone tells it. */
const char *segments_column_text(const struct segments_column *column,
	const struct segments_row *row);

/* The value of a column of COLUMN_TIME. */
const struct timespec *segments_column_time(const struct segments_column *column,
	const struct segments_row *row);

/*
 * The value of a column that is no text. False if it is not known, or there is none: SINCE of what is not
 * idle.
 */
bool segments_column_value(const struct segments_column *column, const struct segments_row *row,
	int64_t *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The columns that `shmtree --list` knows: those of the file `segments`, and some for people: USER, GROUP and
 * AGE.
 */
#pragma once

#include "base/json.h"
#include "views/segments-columns.h"

#include <time.h>

struct list_column {
	const char *name; /* upper-case */
	enum {
		LIST_TEXT,   /* compared as text */
		LIST_NUMBER, /* of things */
		LIST_BYTES,
		LIST_TIME, /* nanoseconds since 1970 */
		LIST_AGE,  /* nanoseconds */
		LIST_USER, /* the name of a user or a group */
		LIST_GROUP,
	} form;
	const struct segments_column *of; /* the same column in `segments`; or NULL */
};

/* Returns the column of that name, in upper or lower case, or NULL. It stays as it is for ever. */
const struct list_column *list_column_find(const char *name);

/*
 * Reads names that are separated by commas into an array of const struct list_column *, which the caller unrefs.
 * NULL if one is not known: `*wrong` is that one, for the caller to free. Pure.
 */
GPtrArray *list_columns_parse(const char *names, char **wrong);

/* All of `segments`, or those that fit on a line for a person to read. */
GPtrArray *list_columns_default(bool human);

/*
 * The value of a column that is no text; `now` is when the list was made. False if it is not known, or there is
 * none, as SINCE of what is not idle.
 */
bool list_column_number(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, int64_t *out);

/* Appends the value of a column that is text, as it is. */
void list_column_raw(const struct list_column *column, const struct segments_row *row,
	GString *out);

/* Append what stands in a table, one value: as in `segments`, and for people. */
void list_column_append(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, GString *out);
void list_column_append_human(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, GString *out);

/* Adds the member of that name, in lower case; null for what is not known. */
void list_column_json(const struct list_column *column, const struct segments_row *row,
	const struct timespec *now, struct json *json);

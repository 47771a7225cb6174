/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table of the mount, as `segments` or `mappers`: read whole, with its columns found by name. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct table {
	GStrv columns;
	GPtrArray *
		rows; /* of GStrv, with a value for each column, escaped as they stand in the file */
	char *remark; /* the line that begins with #, without that; or NULL */
};

/* Takes a table apart. A line with another number of values than columns is left out. Pure. */
struct table *table_parse(const char *text);
void table_free(struct table *table);

/* Reads and parses a file of the mount, by its path: nothing of the mount stays open. 0 or a negative errno. */
int table_read(const char *path, struct table **out);

/* The number of a column, or -1. */
int table_column(const struct table *table, const char *name);

/* The value of a row in a column; "" if there is no such column (-1). */
const char *table_value(const struct table *table, guint row, int column);

/* A value as a number; -1 for "unknown", "-" and what is none. */
int64_t table_number(const char *value);

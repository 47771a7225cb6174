/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of numbers and strings, each in as few bytes as it needs, that are written once and then read in
 * any order: a million mappings take ten megabytes.
 *
 * What they may take in all can be bounded, for several sets of rows together, by a budget.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct budget {
	/* Asks for so many bytes more: 0 or a negative errno. */
	int (*more)(void *data, size_t bytes);
	void *data;
	size_t used, granted; /* bytes */
	int error;            /* what more() said; nothing is granted any more */
};

/* Whether so many bytes more may be used. A budget that is NULL has no end. */
bool budget_use(struct budget *budget, size_t bytes);

struct packed_rows {
	GByteArray *bytes; /* each row with its length before it */
	GByteArray *row;   /* the one that is being written */
	GArray *marks;     /* of size_t: where every so manyth row begins */
	size_t n;
	struct budget *budget; /* while they are written; or NULL */
};

void packed_rows_init(struct packed_rows *rows, struct budget *budget);
void packed_rows_clear(struct packed_rows *rows);

/* Writes a row: its values in turn, and then its end. A row beyond the budget is left out. */
void packed_number(struct packed_rows *rows, uint64_t value);
void packed_address(struct packed_rows *rows,
	uint64_t value); /* or what else is a number of pages */
void packed_text(struct packed_rows *rows, const char *text);
void packed_signed(struct packed_rows *rows, int64_t value); /* one that is near 0 in few bytes */
/* Two bytes, if it is the same time as `near`, which is to be known when it is read. */
void packed_time(struct packed_rows *rows, const struct timespec *time,
	const struct timespec *near);
void packed_row_end(struct packed_rows *rows);

/* No row will be written any more. */
void packed_rows_end(struct packed_rows *rows);

/* Where the values of a row are, 0 to n - 1, and reads the next of them, as they were written. */
const uint8_t *packed_row(const struct packed_rows *rows, size_t row);
uint64_t packed_get_number(const uint8_t **at);
uint64_t packed_get_address(const uint8_t **at);
int64_t packed_get_signed(const uint8_t **at);
struct timespec packed_get_time(const uint8_t **at, const struct timespec *near);
const char *packed_get_text(const uint8_t **at); /* valid as long as the rows */

/* Memory that they take. */
size_t packed_rows_bytes(const struct packed_rows *rows);

/* A number of seven bits a byte, and one of pages, appended to any bytes. */
void packed_append(GByteArray *bytes, uint64_t value);
void packed_append_address(GByteArray *bytes, uint64_t value);

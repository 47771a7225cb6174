/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/packed.h"

#include <string.h>

/* So many rows are stepped over to reach one. */
#define MARK 64

#define PAGE_BITS 12

bool budget_use(struct budget *budget, size_t bytes)
{
	size_t lacks;

	if (!budget)
		return true;
	if (budget->error < 0)
		return false;
	budget->used += bytes;
	if (budget->used <= budget->granted)
		return true;
	/* More than it lacks, so as to ask seldom. */
	lacks = MAX(budget->used - budget->granted, budget->used / 8);
	budget->error = budget->more(budget->data, lacks);
	if (budget->error == 0)
		budget->granted += lacks;
	return budget->error == 0;
}

void packed_rows_init(struct packed_rows *rows, struct budget *budget)
{
	*rows = (struct packed_rows){
		.bytes = g_byte_array_new(),
		.row = g_byte_array_new(),
		.marks = g_array_new(FALSE, FALSE, sizeof(size_t)),
		.budget = budget,
	};
}

void packed_rows_clear(struct packed_rows *rows)
{
	g_byte_array_unref(rows->bytes);
	g_byte_array_unref(rows->row);
	g_array_unref(rows->marks);
}

void packed_append(GByteArray *bytes, uint64_t value)
{
	uint8_t coded[10];
	guint n = 0;

	for (; value >= 0x80; value >>= 7)
		coded[n++] = (uint8_t)(value | 0x80);
	coded[n++] = (uint8_t)value;
	g_byte_array_append(bytes, coded, n);
}

/* What is a multiple of a page has zeros at the end, which go to the front. */
void packed_append_address(GByteArray *bytes, uint64_t value)
{
	packed_append(bytes, value >> PAGE_BITS | value << (64 - PAGE_BITS));
}

void packed_number(struct packed_rows *rows, uint64_t value)
{
	packed_append(rows->row, value);
}

void packed_address(struct packed_rows *rows, uint64_t value)
{
	packed_append_address(rows->row, value);
}

void packed_text(struct packed_rows *rows, const char *text)
{
	g_byte_array_append(rows->row, (const uint8_t *)text, strlen(text) + 1);
}

/* Twice the number, or for a negative one twice what it is below zero, less one. */
void packed_signed(struct packed_rows *rows, int64_t value)
{
	packed_number(rows, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

void packed_time(struct packed_rows *rows, const struct timespec *time, const struct timespec *near)
{
	packed_signed(rows, (int64_t)((uint64_t)time->tv_sec - (uint64_t)near->tv_sec));
	packed_signed(rows, time->tv_nsec - near->tv_nsec);
}

void packed_row_end(struct packed_rows *rows)
{
	size_t at = rows->bytes->len;

	if (budget_use(rows->budget, rows->row->len + 1)) {
		if (rows->n % MARK == 0)
			g_array_append_val(rows->marks, at);
		packed_append(rows->bytes, rows->row->len);
		g_byte_array_append(rows->bytes, rows->row->data, rows->row->len);
		rows->n++;
	}
	g_byte_array_set_size(rows->row, 0);
}

void packed_rows_end(struct packed_rows *rows)
{
	rows->budget = NULL;
}

uint64_t packed_get_number(const uint8_t **at)
{
	uint64_t value = 0;
	unsigned shift = 0;

	for (; **at & 0x80; shift += 7)
		value |= (uint64_t)(*(*at)++ & 0x7f) << shift;
	return value | (uint64_t) * (*at)++ << shift;
}

uint64_t packed_get_address(const uint8_t **at)
{
	uint64_t value = packed_get_number(at);

	return value << PAGE_BITS | value >> (64 - PAGE_BITS);
}

const char *packed_get_text(const uint8_t **at)
{
	const char *text = (const char *)*at;

	*at += strlen(text) + 1;
	return text;
}

int64_t packed_get_signed(const uint8_t **at)
{
	uint64_t coded = packed_get_number(at);

	return (int64_t)(coded >> 1 ^ -(coded & 1));
}

struct timespec packed_get_time(const uint8_t **at, const struct timespec *near)
{
	struct timespec time;

	time.tv_sec = (int64_t)((uint64_t)near->tv_sec + (uint64_t)packed_get_signed(at));
	time.tv_nsec = near->tv_nsec + packed_get_signed(at);
	return time;
}

const uint8_t *packed_row(const struct packed_rows *rows, size_t row)
{
	const uint8_t *at = rows->bytes->data + g_array_index(rows->marks, size_t, row / MARK);

	for (size_t left = row % MARK; left > 0; left--) {
		size_t length = packed_get_number(&at);

		at += length;
	}
	packed_get_number(&at);
	return at;
}

size_t packed_rows_bytes(const struct packed_rows *rows)
{
	return rows->bytes->len + rows->marks->len * sizeof(size_t);
}

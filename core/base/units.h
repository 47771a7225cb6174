/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers as people write and read them. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NANOSECONDS INT64_C(1000000000)

/*
 * Reads all of `text`: 1536, 1.5K, 10M, 2G, 1T (powers of 1024, in upper or lower case) as bytes; and 90, 90s,
 * 5m, 1.5h, 2d, 1w as nanoseconds. False if it is anything else, or more than fits.
 */
bool units_parse_bytes(const char *text, int64_t *out);
bool units_parse_duration(const char *text, int64_t *out);

/* Reads all of `text` as a decimal number without a unit. */
bool units_parse_count(const char *text, int64_t *out);

/*
 * Reads a time as nanoseconds since 1970: seconds, which may have decimals, or ISO 8601 as 2026-11-26T10:00:00Z,
 * which is local time without a zone.
 */
bool units_parse_time(const char *text, int64_t *out);

/* Returns a time as nanoseconds since 1970; the nearest that fits of one that is too far away. */
static inline int64_t units_nanoseconds(const struct timespec *time)
{
	int64_t value;

	if (__builtin_mul_overflow((int64_t)time->tv_sec, NANOSECONDS, &value) ||
		__builtin_add_overflow(value, (int64_t)time->tv_nsec, &value))
		return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return value;
}

/* Appends a number of bytes as `ls -h` does: 512, 1.5K, 64M; rounded up, to at most three digits or so. */
void units_format_bytes(GString *out, uint64_t bytes);

/* Appends a duration by its largest unit, rounded down: 0s, 59m, 23h, 6d, 110w. */
void units_format_duration(GString *out, int64_t nanoseconds);

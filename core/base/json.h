/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes JSON (RFC 8259). A string there is Unicode, although a file name is any bytes; and a number may
 * have as many digits as it needs, so that times are exact, which no double is.
 *
 * Members stand in the order in which they are added. The caller adds each key once.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define JSON_DEPTH 8

/* One value that is being written to `out`: an object or an array with all that is in it. */
struct json {
	GString *out; /* the caller's */
	bool page;    /* format_json_page() */
	bool lines;   /* each member on a line of its own; false: all on one line */
	unsigned indent;
	unsigned depth; /* objects and arrays that are open */
	char ends[JSON_DEPTH];
	bool empty; /* the innermost one has no member yet */
};

/* Begins to write on one line; or on many, each with so many spaces before it. */
void format_json_line(struct json *json, GString *out);
void format_json_lines(struct json *json, GString *out, unsigned indent);

/*
 * Begins to write on one line, in a <script> of a page for people: strings are written as format_readable() does,
 * and each `<`, `>` and `&` in them as \u00XX, so that no string ends the script or is markup.
 */
void format_json_page(struct json *json, GString *out);

/*
 * Opens an object, or an array; format_json_end() closes the innermost one. Here and below `key` is NULL for
 * the outermost value and for what is in an array.
 */
void format_json_object(struct json *json, const char *key);
void format_json_array(struct json *json, const char *key);
void format_json_end(struct json *json);

/*
 * Adds a member whose value is a string of bytes. What is valid UTF-8 is written as it is, but for escapes:
 * quotes, backslashes, and what format_escaped() escapes in a table. What is not has U+FFFD for each byte
 * that fits no character, and beside it a member KEY_base64 that holds the exact bytes. KEY_base64 exists
 * only if KEY is not exact.
 */
void format_json_bytes(struct json *json, const char *key, const char *value);

/* Adds a number; UINT64_MAX, which stands for what is not known, is null. */
void format_json_number(struct json *json, const char *key, uint64_t value);

/* Adds a time: seconds since 1970 with nine decimals, as format_time() writes it. */
void format_json_time(struct json *json, const char *key, const struct timespec *time);

/* Adds true or false, and null. */
void format_json_bool(struct json *json, const char *key, bool value);
void format_json_null(struct json *json, const char *key);

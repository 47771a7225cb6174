/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How values are written: in tables, where a value must not look like a separator, and in JSON,
 * where a string is Unicode although a file name is any bytes.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/*
 * Appends a value to a table: each byte of a backslash, tab, newline and every other control
 * character, of C1 too (as UTF-8 or as a byte alone), and of the characters that separate lines or
 * change the direction of the text, becomes a backslash and three octal digits, as in
 * /proc/PID/maps; all other bytes stand as they are, UTF-8 or not. `printf %b` undoes it.
 */
void format_escaped(GString *out, const char *value);

/*
 * Appends a value in quotes as a label of the OpenMetrics text format: backslash, quote and newline
 * have a backslash before them. Labels are Unicode: a byte that fits no UTF-8 character is U+FFFD
 * followed by its two hexadecimal digits, in upper case, and so is each byte of a U+FFFD in the
 * value itself. All other values are exact, and no two are written alike.
 */
void format_label(GString *out, const char *value);

/*
 * Appends to a label of a Graphviz file, between its quotes: what format_escaped() escapes shows in
 * the picture as it does in a table, and so does what is not UTF-8 or not allowed in XML.
 */
void format_dot(GString *out, const char *value);

/* Appends seconds and nine decimals since 1970, as `stat -c %.9Y` does; negative before. */
void format_time(GString *out, const struct timespec *time);

/* Appends a decimal number; UINT64_MAX, which stands for what is not known, is "unknown". */
void format_count(GString *out, uint64_t count);

/*
 * Adds a member whose value is a string of bytes. What is valid UTF-8 is written as it is. What is
 * not has U+FFFD for each byte that fits no character, and beside it a member KEY_base64 that
 * holds the exact bytes: the latter exists only where the former is not the whole truth.
 */
void format_json_bytes(JsonBuilder *builder, const char *key, const char *value);

/* Adds a member that is a number; UINT64_MAX, which stands for what is not known, is null. */
void format_json_number(JsonBuilder *builder, const char *key, uint64_t value);

/* Adds a member that is a time: seconds since 1970, with a fraction. */
void format_json_time(JsonBuilder *builder, const char *key, const struct timespec *time);

/*
 * Appends the object that the builder has made, as json_to_string() does with each line indented by so
 * many spaces, up to the end of its last member: more members can follow.
 */
void format_json_open(GString *out, JsonBuilder *builder, unsigned indent);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes values in tables, metrics and graphs, where a value must not look like a separator. JSON
 * is in base/json.h.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
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
 * Whether a terminal may take the character for a command or for a change of direction, so that a line
 * reads as another: control characters, those of C1 included, separators of lines, and all that show
 * nothing themselves but turn the text around them. Pure.
 */
bool format_is_treacherous(gunichar character);

/*
 * Appends a value as text that is valid UTF-8 whatever the value is: what format_escaped() escapes is written
 * alike, and so is each byte that fits no character or one that is not allowed in XML. `printf %b` undoes it.
 */
void format_readable(GString *out, const char *value);

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

/*
 * Appends what the names of items have in common that a program numbers or draws by lot: each hexadecimal number
 * with a decimal digit in it is `*`, so that `psm_1f` and `psm_20` both are `psm_*`.
 */
void format_family(GString *out, const char *name);

/* Appends seconds and nine decimals since 1970, as `stat -c %.9Y` does; negative before. */
void format_time(GString *out, const struct timespec *time);

/* Appends a decimal number; UINT64_MAX, which stands for what is not known, is "unknown". */
void format_count(GString *out, uint64_t count);

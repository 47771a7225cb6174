/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/format.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* The character that the text begins with, and its length in bytes; false, and 1, if it is none. */
static bool next_character(const char *text, gunichar *character, size_t *length)
{
	*character = g_utf8_get_char_validated(text, -1);
	*length = 1;
	if (*character == (gunichar)-1 || *character == (gunichar)-2)
		return false;
	*length = g_utf8_next_char(text) - text;
	return true;
}

bool format_is_treacherous(gunichar character)
{
	return character < ' ' || (character >= 0x7f && character <= 0x9f) || character == 0x061c ||
		(character >= 0x200e && character <= 0x200f) ||
		(character >= 0x2028 && character <= 0x202e) ||
		(character >= 0x2066 && character <= 0x2069);
}

/* What is no UTF-8 stands as it is, but for what a terminal of another encoding takes for C1. */
void format_escaped(GString *out, const char *value)
{
	gunichar character;
	size_t length;

	for (; *value; value += length) {
		bool escape = next_character(value, &character, &length) ?
			format_is_treacherous(character) || character == '\\' :
			(unsigned char)*value >= 0x80 && (unsigned char)*value <= 0x9f;

		for (size_t i = 0; i < length; i++)
			if (escape)
				g_string_append_printf(out, "\\%03o", (unsigned char)value[i]);
			else
				g_string_append_c(out, value[i]);
	}
}

#define REPLACEMENT 0xfffd

void format_label(GString *out, const char *value)
{
	gunichar character;
	size_t length;

	g_string_append_c(out, '"');
	for (; *value; value += length) {
		if (!next_character(value, &character, &length) || character == REPLACEMENT) {
			for (size_t i = 0; i < length; i++)
				g_string_append_printf(out, "\xef\xbf\xbd%02X",
					(unsigned char)value[i]);
			continue;
		}
		if (*value == '\\' || *value == '"' || *value == '\n')
			g_string_append_c(out, '\\');
		if (*value == '\n')
			g_string_append_c(out, 'n');
		else
			g_string_append_len(out, value, length);
	}
	g_string_append_c(out, '"');
}

/* Control characters, and code points that are no characters, are not allowed in XML. */
static bool is_drawable(gunichar character)
{
	return !format_is_treacherous(character) && (character & 0xfffe) != 0xfffe;
}

void format_readable(GString *out, const char *value)
{
	gunichar character;
	size_t length;

	for (; *value; value += length)
		if (!next_character(value, &character, &length) || !is_drawable(character) ||
			character == '\\')
			for (size_t i = 0; i < length; i++)
				g_string_append_printf(out, "\\%03o", (unsigned char)value[i]);
		else
			g_string_append_len(out, value, length);
}

void format_dot(GString *out, const char *value)
{
	gunichar character;
	size_t length;

	for (; *value; value += length) {
		if (!next_character(value, &character, &length) || !is_drawable(character) ||
			character == '\\')
			for (size_t i = 0; i < length; i++)
				g_string_append_printf(out, "\\\\%03o", (unsigned char)value[i]);
		else if (character == '"')
			g_string_append(out, "\\\"");
		else if (character == '&') /* it would begin the name of a character */
			g_string_append(out, "&amp;");
		else
			g_string_append_len(out, value, length);
	}
}

void format_family(GString *out, const char *name)
{
	size_t begin = out->len;

	while (*name) {
		size_t length = strspn(name, "0123456789abcdefABCDEF");
		bool numbered = strcspn(name, "0123456789") < length;

		if (!numbered)
			g_string_append_len(out, name, MAX(length, 1));
		else if (out->len == begin || out->str[out->len - 1] != '*')
			g_string_append_c(out, '*');
		name += MAX(length, 1);
	}
}

void format_time(GString *out, const struct timespec *time)
{
	long long seconds = time->tv_sec;
	long nanoseconds = time->tv_nsec;

	/* Nanoseconds count upwards before 1970 as well: -2 s + 0.5 s is written -1.5. */
	if (seconds < 0 && nanoseconds > 0) {
		seconds++;
		nanoseconds = 1000000000 - nanoseconds;
		if (seconds == 0)
			g_string_append_c(out, '-');
	}
	g_string_append_printf(out, "%lld.%09ld", seconds, nanoseconds);
}

void format_count(GString *out, uint64_t count)
{
	if (count == UINT64_MAX)
		g_string_append(out, "unknown");
	else
		g_string_append_printf(out, "%" G_GUINT64_FORMAT, count);
}

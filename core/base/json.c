/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include "base/format.h"

#include <string.h>

void format_json_line(struct json *json, GString *out)
{
	*json = (struct json){ .out = out, .empty = true };
}

void format_json_lines(struct json *json, GString *out, unsigned indent)
{
	*json = (struct json){ .out = out, .lines = true, .indent = indent, .empty = true };
}

void format_json_page(struct json *json, GString *out)
{
	*json = (struct json){ .out = out, .page = true, .empty = true };
}

static void begin_line(const struct json *json)
{
	g_string_append_printf(json->out, "%*s", (int)(json->indent + 2 * json->depth), "");
}

static void append_string(GString *out, const char *text)
{
	g_string_append_c(out, '"');
	for (; *text; text = g_utf8_next_char(text)) {
		gunichar character = g_utf8_get_char(text);

		if (character == '\n' || character == '\t')
			g_string_append(out, character == '\n' ? "\\n" : "\\t");
		else if (format_is_treacherous(character))
			g_string_append_printf(out, "\\u%04x", character);
		else if (character == '"' || character == '\\')
			g_string_append_printf(out, "\\%c", (char)character);
		else
			g_string_append_unichar(out, character);
	}
	g_string_append_c(out, '"');
}

/* Writes what stands before a value. */
static void begin_value(struct json *json, const char *key)
{
	if (!json->empty)
		g_string_append_c(json->out, ',');
	if (json->lines && json->depth > 0)
		g_string_append_c(json->out, '\n');
	if (json->lines)
		begin_line(json);
	if (key) {
		append_string(json->out, key);
		g_string_append(json->out, json->lines ? " : " : ":");
	}
	json->empty = false;
}

static void begin_nested(struct json *json, const char *key, char begin, char end)
{
	g_assert(json->depth < JSON_DEPTH);
	begin_value(json, key);
	g_string_append_c(json->out, begin);
	json->ends[json->depth++] = end;
	json->empty = true;
}

void format_json_object(struct json *json, const char *key)
{
	begin_nested(json, key, '{', '}');
}

void format_json_array(struct json *json, const char *key)
{
	begin_nested(json, key, '[', ']');
}

void format_json_end(struct json *json)
{
	g_assert(json->depth > 0);
	json->depth--;
	if (json->lines && !json->empty) {
		g_string_append_c(json->out, '\n');
		begin_line(json);
	}
	g_string_append_c(json->out, json->ends[json->depth]);
	json->empty = false;
}

/* U+2028, U+2029 and control characters are none of what format_readable() writes. */
static void append_page_string(GString *out, const char *value)
{
	g_autoptr(GString) text = g_string_new(NULL);

	format_readable(text, value);
	g_string_append_c(out, '"');
	for (const char *at = text->str; *at; at++)
		if (*at == '<' || *at == '>' || *at == '&')
			g_string_append_printf(out, "\\u%04x", (unsigned char)*at);
		else if (*at == '"' || *at == '\\')
			g_string_append_printf(out, "\\%c", *at);
		else
			g_string_append_c(out, *at);
	g_string_append_c(out, '"');
}

void format_json_bytes(struct json *json, const char *key, const char *value)
{
	if (json->page) {
		begin_value(json, key);
		append_page_string(json->out, value);
		return;
	}
	if (g_utf8_validate(value, -1, NULL)) {
		begin_value(json, key);
		append_string(json->out, value);
		return;
	}

	g_autofree char *readable = g_utf8_make_valid(value, -1);
	g_autofree char *exact = g_base64_encode((const guchar *)value, strlen(value));
	g_autofree char *exact_key = g_strconcat(key, "_base64", NULL);

	begin_value(json, key);
	append_string(json->out, readable);
	begin_value(json, exact_key);
	append_string(json->out, exact);
}

void format_json_number(struct json *json, const char *key, uint64_t value)
{
	if (value == UINT64_MAX) {
		format_json_null(json, key);
		return;
	}
	begin_value(json, key);
	g_string_append_printf(json->out, "%" G_GUINT64_FORMAT, value);
}

void format_json_time(struct json *json, const char *key, const struct timespec *time)
{
	begin_value(json, key);
	format_time(json->out, time);
}

void format_json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	g_string_append(json->out, value ? "true" : "false");
}

void format_json_null(struct json *json, const char *key)
{
	begin_value(json, key);
	g_string_append(json->out, "null");
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <string.h>

void format_json_bytes(JsonBuilder *builder, const char *key, const char *value)
{
	json_builder_set_member_name(builder, key);
	if (g_utf8_validate(value, -1, NULL)) {
		json_builder_add_string_value(builder, value);
		return;
	}

	g_autofree char *readable = g_utf8_make_valid(value, -1);
	g_autofree char *exact = g_base64_encode((const guchar *)value, strlen(value));
	g_autofree char *exact_key = g_strconcat(key, "_base64", NULL);

	json_builder_add_string_value(builder, readable);
	json_builder_set_member_name(builder, exact_key);
	json_builder_add_string_value(builder, exact);
}

void format_json_number(JsonBuilder *builder, const char *key, uint64_t value)
{
	json_builder_set_member_name(builder, key);
	if (value == UINT64_MAX)
		json_builder_add_null_value(builder);
	else
		json_builder_add_int_value(builder, (gint64)value);
}

void format_json_time(JsonBuilder *builder, const char *key, const struct timespec *time)
{
	json_builder_set_member_name(builder, key);
	json_builder_add_double_value(builder, time->tv_sec + time->tv_nsec / 1e9);
}

void format_json_open(GString *out, JsonBuilder *builder, unsigned indent)
{
	JsonNode *root = json_builder_get_root(builder);
	g_autofree char *text = json_to_string(root, TRUE);

	json_node_unref(root);
	for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		g_string_append_printf(out, "%*s", (int)indent, "");
		g_string_append_len(out, line, end + 1 - line);
	}
	g_string_truncate(out, out->len - 1);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cells.h"

static size_t width_of(gunichar character)
{
	if (g_unichar_iszerowidth(character))
		return 0;
	return g_unichar_iswide(character) ? 2 : 1;
}

size_t cells_width(const char *text)
{
	size_t width = 0;

	for (; *text; text = g_utf8_next_char(text))
		width += width_of(g_utf8_get_char(text));
	return width;
}

static void append_spaces(GString *out, size_t n)
{
	while (n-- > 0)
		g_string_append_c(out, ' ');
}

void cells_pad(GString *out, const char *text, size_t width, bool right)
{
	size_t taken = cells_width(text), space = width > taken ? width - taken : 0;

	append_spaces(out, right ? space : 0);
	g_string_append(out, text);
	append_spaces(out, right ? 0 : space);
}

void cells_fit(GString *out, const char *text, size_t width, bool right)
{
	const char *end = text;
	size_t taken = 0;

	if (cells_width(text) <= width) {
		cells_pad(out, text, width, right);
		return;
	}
	if (width == 0)
		return;
	while (taken + width_of(g_utf8_get_char(end)) <= width - 1) {
		taken += width_of(g_utf8_get_char(end));
		end = g_utf8_next_char(end);
	}
	g_string_append_len(out, text, end - text);
	g_string_append_c(out, '+');
	append_spaces(out, width - 1 - taken);
}

void cells_ascii(GString *out, const char *text)
{
	for (; *text; text = g_utf8_next_char(text)) {
		gunichar character = g_utf8_get_char(text);

		if (character < 0x80)
			g_string_append_c(out, (char)character);
		else
			for (size_t i = width_of(character); i > 0; i--)
				g_string_append_c(out, '?');
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json-text.h"

#include <glib.h>
#include <string.h>

#define DEPTH_MAX 32

struct text {
	const char *at, *end;
};

static char peek(const struct text *text)
{
	return text->at < text->end ? *text->at : 0;
}

static void skip_space(struct text *text)
{
	while (peek(text) && strchr(" \t\r\n", peek(text)))
		text->at++;
}

static bool take(struct text *text, char c)
{
	if (peek(text) != c)
		return false;
	text->at++;
	return true;
}

static bool escape(struct text *text)
{
	char c = peek(text);

	if (!c || !strchr("\"\\/bfnrtu", c))
		return false;
	text->at++;
	for (int i = 0; c == 'u' && i < 4; i++, text->at++)
		if (!g_ascii_isxdigit(peek(text)))
			return false;
	return true;
}

/* Its bytes are UTF-8 if those of the whole text are. */
static bool string(struct text *text)
{
	if (!take(text, '"'))
		return false;
	while (!take(text, '"')) {
		if ((unsigned char)peek(text) < 0x20)
			return false;
		if (*text->at++ == '\\' && !escape(text))
			return false;
	}
	return true;
}

static bool digits(struct text *text)
{
	const char *from = text->at;

	while (g_ascii_isdigit(peek(text)))
		text->at++;
	return text->at > from;
}

static bool number(struct text *text)
{
	take(text, '-');
	if (!take(text, '0') && !digits(text))
		return false;
	return !take(text, '.') || digits(text);
}

static bool word(struct text *text)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(text->end - text->at) >= n && memcmp(text->at, words[i], n) == 0) {
			text->at += n;
			return true;
		}
	}
	return false;
}

static bool value(struct text *text, unsigned depth);

static bool members(struct text *text, bool named, char end, unsigned depth)
{
	skip_space(text);
	if (take(text, end))
		return true;
	do {
		skip_space(text);
		if (named && !(string(text) && take(text, ':')))
			return false;
		if (!value(text, depth + 1))
			return false;
		skip_space(text);
	} while (take(text, ','));
	return take(text, end);
}

static bool value(struct text *text, unsigned depth)
{
	skip_space(text);
	if (depth > DEPTH_MAX)
		return false;
	if (take(text, '{'))
		return members(text, true, '}', depth);
	if (take(text, '['))
		return members(text, false, ']', depth);
	return peek(text) == '"' ? string(text) : word(text) || number(text);
}

bool json_text_is_valid(const char *at, size_t n)
{
	struct text text = { at, at + n };

	if (!g_utf8_validate(at, (gssize)n, NULL) || !value(&text, 0))
		return false;
	skip_space(&text);
	return text.at == text.end;
}

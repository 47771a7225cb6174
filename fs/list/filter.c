/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "list/filter.h"

#include "base/units.h"

#include <fnmatch.h>
#include <string.h>

#define UNKNOWN "unknown"

/* Longer ones first, which begin with the shorter. */
static const char *const operators[] = { "!=", "<=", ">=", "=", "<", ">" };
enum operator_index { NOT_EQUAL, AT_MOST, AT_LEAST, EQUAL, LESS, MORE };

struct condition {
	const struct list_column *column;
	enum operator_index operator;
	char *pattern; /* of a text; NULL: it is compared with `value` */
	bool unknown;  /* it is compared with what is not known */
	int64_t value;
};

struct list_filter {
	GArray *conditions;
};

static bool is_text(const struct list_column *column)
{
	return column->form == LIST_TEXT || column->form == LIST_USER || column->form == LIST_GROUP;
}

static void clear_condition(gpointer data)
{
	g_free(((struct condition *)data)->pattern);
}

/* The length of the first condition: up to a comma without a backslash before it, or the end. */
static size_t length_of_first(const char *text)
{
	size_t n = 0;

	while (text[n] && text[n] != ',')
		n += text[n] == '\\' && text[n + 1] ? 2 : 1;
	return n;
}

static bool find_operator(const char *text, enum operator_index *out)
{
	for (size_t i = 0; i < G_N_ELEMENTS(operators); i++)
		if (g_str_has_prefix(text, operators[i])) {
			*out = (enum operator_index)i;
			return true;
		}
	return false;
}

static bool parse_number(const struct list_column *column, const char *text, int64_t *out)
{
	switch (column->form) {
	case LIST_BYTES:
		return units_parse_bytes(text, out);
	case LIST_AGE:
		return units_parse_duration(text, out);
	case LIST_TIME:
		return units_parse_time(text, out);
	default:
		return units_parse_count(text, out);
	}
}

static const char *what_it_takes(const struct list_column *column)
{
	switch (column->form) {
	case LIST_BYTES:
		return "a number of bytes, which may end in K, M, G or T";
	case LIST_AGE:
		return "a number of seconds, which may end in s, m, h, d or w";
	case LIST_TIME:
		return "seconds since 1970, or a time as 2026-11-26T10:00:00Z";
	case LIST_NUMBER:
		return "a number";
	default:
		return "a pattern, by = or !=";
	}
}

static bool parse_value(const char *text, struct condition *out)
{
	bool equality = out->operator== EQUAL || out->operator== NOT_EQUAL;

	if (is_text(out->column)) {
		out->pattern = g_strdup(text);
		return equality;
	}
	out->unknown = equality && g_ascii_strcasecmp(text, UNKNOWN) == 0;
	return out->unknown || parse_number(out->column, text, &out->value);
}

/* NULL, or why the text is no condition. */
static char *parse_condition(const char *text, struct condition *out)
{
	size_t n = strcspn(text, "=!<>");
	g_autofree char *name = g_strndup(text, n);

	*out = (struct condition){ .column = list_column_find(name) };
	if (!find_operator(text + n, &out->operator))
		return g_strdup_printf(
			"%s: a condition is a column, one of = != < <= > >=, and a value", text);
	if (!out->column)
		return g_strdup_printf("%s: there is no column %s", text, name);
	if (!parse_value(text + n + strlen(operators[out->operator]), out))
		return g_strdup_printf("%s: %s takes %s", text, out->column->name,
			what_it_takes(out->column));
	return NULL;
}

struct list_filter *list_filter_parse(const char *text, char **why)
{
	struct list_filter *filter = g_new(struct list_filter, 1);

	filter->conditions = g_array_new(FALSE, FALSE, sizeof(struct condition));
	g_array_set_clear_func(filter->conditions, clear_condition);
	for (;;) {
		size_t n = length_of_first(text);
		g_autofree char *one = g_strndup(text, n);
		struct condition condition;

		*why = parse_condition(one + strspn(one, " "), &condition);
		g_array_append_val(filter->conditions, condition);
		if (*why) {
			list_filter_free(filter);
			return NULL;
		}
		if (!text[n])
			return filter;
		text += n + 1;
	}
}

void list_filter_free(struct list_filter *filter)
{
	if (!filter)
		return;
	g_array_unref(filter->conditions);
	g_free(filter);
}

static bool compares(int64_t value, enum operator_index operator, int64_t with)
{
	switch (operator) {
	case NOT_EQUAL:
		return value != with;
	case AT_MOST:
		return value <= with;
	case AT_LEAST:
		return value >= with;
	case EQUAL:
		return value == with;
	case LESS:
		return value < with;
	default:
		return value > with;
	}
}

static bool matches(const struct condition *condition, const struct segments_row *row)
{
	g_autoptr(GString) text = g_string_new(NULL);
	bool same;

	list_column_raw(condition->column, row, text);
	same = fnmatch(condition->pattern, text->str, 0) == 0;
	return same == (condition->operator== EQUAL);
}

static bool holds(const struct condition *condition, const struct segments_row *row,
	const struct timespec *now)
{
	int64_t value;
	bool known;

	if (condition->pattern)
		return matches(condition, row);
	known = list_column_number(condition->column, row, now, &value);
	if (condition->unknown)
		return known == (condition->operator== NOT_EQUAL);
	return known && compares(value, condition->operator, condition->value);
}

bool list_filter_has(const struct list_filter *filter, const struct segments_row *row,
	const struct timespec *now)
{
	for (guint i = 0; filter && i < filter->conditions->len; i++)
		if (!holds(&g_array_index(filter->conditions, struct condition, i), row, now))
			return false;
	return true;
}

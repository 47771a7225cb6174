/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>

struct unit {
	const char *name;
	int64_t scale;
};

static const struct unit byte_units[] = {
	{ "", 1 },
	{ "K", INT64_C(1) << 10 },
	{ "M", INT64_C(1) << 20 },
	{ "G", INT64_C(1) << 30 },
	{ "T", INT64_C(1) << 40 },
	{ NULL, 0 },
};

static const struct unit time_units[] = {
	{ "", NANOSECONDS },
	{ "s", NANOSECONDS },
	{ "m", 60 * NANOSECONDS },
	{ "h", 3600 * NANOSECONDS },
	{ "d", 86400 * NANOSECONDS },
	{ "w", 604800 * NANOSECONDS },
	{ NULL, 0 },
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit seconds[] = { { "", NANOSECONDS }, { NULL, 0 } };

static const struct unit *find_unit(const struct unit *units, const char *name)
{
	for (; units->name; units++)
		if (g_ascii_strcasecmp(units->name, name) == 0)
			return units;
	return NULL;
}

/* What stands before the first letter is the number: no sign, no exponent. */
static bool parse_scaled(const char *text, const struct unit *units, int64_t *out)
{
	const struct unit *unit;
	double fraction = 0, place = 1;
	int64_t value;
	guint64 whole;
	char *end;

	if (!g_ascii_isdigit(*text))
		return false;
	errno = 0;
	whole = g_ascii_strtoull(text, &end, 10);
	if (errno || whole > INT64_MAX)
		return false;
	if (*end == '.' && g_ascii_isdigit(end[1]) && units != no_units)
		for (end++; g_ascii_isdigit(*end); end++)
			fraction += (*end - '0') * (place /= 10);
	unit = find_unit(units, end);
	if (!unit || __builtin_mul_overflow((int64_t)whole, unit->scale, &value) ||
		__builtin_add_overflow(value, (int64_t)(fraction * (double)unit->scale + 0.5),
			&value))
		return false;
	*out = value;
	return true;
}

bool units_parse_bytes(const char *text, int64_t *out)
{
	return parse_scaled(text, byte_units, out);
}

bool units_parse_duration(const char *text, int64_t *out)
{
	return parse_scaled(text, time_units, out);
}

bool units_parse_count(const char *text, int64_t *out)
{
	return parse_scaled(text, no_units, out);
}

bool units_parse_time(const char *text, int64_t *out)
{
	g_autoptr(GTimeZone) local = g_time_zone_new_local();
	g_autoptr(GDateTime) time = NULL;

	if (parse_scaled(text, seconds, out))
		return true;
	time = g_date_time_new_from_iso8601(text, local);
	return time && !__builtin_mul_overflow(g_date_time_to_unix(time), NANOSECONDS, out);
}

void units_format_bytes(GString *out, uint64_t bytes)
{
	static const char letters[] = "KMGTPE";
	int power = -1;
	uint64_t scale = 1, tenths;

	for (; letters[power + 1] && bytes / scale >= 1024; power++)
		scale <<= 10;
	if (power < 0) {
		g_string_append_printf(out, "%" PRIu64, bytes);
		return;
	}
	/* In tenths of the unit, rounded up: never less than there is. */
	tenths = bytes / scale * 10 + (bytes % scale * 10 + scale - 1) / scale;
	if (tenths < 100)
		g_string_append_printf(out, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10,
			letters[power]);
	else
		g_string_append_printf(out, "%" PRIu64 "%c", (tenths + 9) / 10, letters[power]);
}

void units_format_duration(GString *out, int64_t nanoseconds)
{
	const struct unit *unit = &time_units[1];

	while (unit[1].name && nanoseconds >= unit[1].scale)
		unit++;
	g_string_append_printf(out, "%" PRId64 "%s", nanoseconds / unit->scale, unit->name);
}

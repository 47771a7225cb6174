/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "step.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct actor actors[ACTORS] = {
	{ "root", 0, 0, 0, false, false },
	{ "user 2001", 2001, 2001, 3001, false, false },
	{ "user 2001 (second process)", 2001, 2001, 3001, false, false },
	{ "user 2002", 2002, 2002, 0, false, false },
	{ "user 2003", 2003, 2003, 0, false, false },
	{ "powerless root", 0, 0, 0, false, true },
	{ "root outside", 0, 0, 0, true, false },
	{ "user 2001 outside", 2001, 2001, 3001, true, false },
	{ "user 2002 outside", 2002, 2002, 0, true, false },
};

static const struct op *const tables[] = {
	ops_open,
	ops_data,
	ops_move,
	ops_map,
	ops_name,
	ops_attr,
	ops_xattr,
	ops_lock,
};

const struct op *op_at(unsigned index)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++) {
		for (const struct op *op = tables[t]; op->name; op++) {
			if (index-- == 0)
				return op;
		}
	}
	return NULL;
}

unsigned op_count(void)
{
	unsigned count = 0;

	while (op_at(count))
		count++;
	return count;
}

bool op_reads_cache(const char *name)
{
	static const char *const list[] = { "sendfile", "sendfile_to_pipe", "splice_to_pipe",
		"tee" };

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		if (strcmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

#define FIFTY "n2345678901234567890123456789012345678901234567890"
#define LONGEST FIFTY FIFTY FIFTY FIFTY FIFTY "12345"

static const char *const names[] = {
	"a",
	"b",
	"c",
	"d",
	"e",
	"f",
	".",
	"a/",
	"new/",
	"a/x",
	LONGEST,
	LONGEST "6",
	"with space\tand\\",
	"\xff\xfe",
};

const char *name_at(unsigned index)
{
	return index < name_count() ? names[index] : NULL;
}

unsigned name_count(void)
{
	return sizeof(names) / sizeof(*names);
}

/* A string that grows by printf into a buffer of fixed size. */
struct text {
	char *buf;
	size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->used, t->size - t->used, format, args);
	va_end(args);
	t->used += (size_t)n < t->size - t->used ? (size_t)n : t->size - t->used - 1;
}

static void add_bits(struct text *t, const struct choice *choices, int64_t value)
{
	const char *separator = "";

	for (const struct choice *c = choices; c->name; c++) {
		if (c->value && (value & c->value) == c->value) {
			add(t, "%s%s", separator, c->name);
			separator = "|";
			value &= ~c->value;
		}
	}
	if (value || !*separator)
		add(t, "%s%#" PRIx64, separator, value);
}

static void add_pick(struct text *t, const struct choice *choices, int64_t value)
{
	for (const struct choice *c = choices; c->name; c++) {
		if (c->value == value) {
			add(t, "%s", c->name);
			return;
		}
	}
	add(t, "%" PRId64, value);
}

static void add_arg(struct text *t, const struct arg_spec *spec, int64_t value)
{
	switch (spec->kind) {
	case ARG_NAME:
		add(t, "\"%.40s\"", name_at((unsigned)value));
		break;
	case ARG_MODE:
		add(t, "%s 0%" PRIo64, spec->label, value);
		break;
	case ARG_PAGES:
		add(t, "%s %" PRId64, spec->label, value * 4096);
		break;
	case ARG_PICK:
		add(t, "%s ", spec->label);
		add_pick(t, spec->choices, value);
		break;
	case ARG_BITS:
		add(t, "%s ", spec->label);
		add_bits(t, spec->choices, value);
		break;
	default:
		add(t, "%s %" PRId64, spec->label, value);
	}
}

void step_describe(const struct step *step, char *buf, size_t size)
{
	const struct op *op = op_at(step->op);
	struct text t = { buf, size, 0 };

	add(&t, "%s: %s(", actors[step->actor].label, op->name);
	for (int i = 0; i < MAX_ARGS && op->args[i].kind != ARG_NONE; i++) {
		if (i)
			add(&t, ", ");
		add_arg(&t, &op->args[i], step->arg[i]);
	}
	add(&t, ")");
}

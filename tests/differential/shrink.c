/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Delta debugging: first fewer steps, by kind and then one by one, then simpler arguments. */
#include "sequence.h"

#include <stdlib.h>
#include <string.h>

#define SHRINK_SETTLE_MS 200

static bool still_differs(struct world *w, const struct sequence *s, const char *kind)
{
	struct difference d;

	return sequence_run(w, s, false, &d) && strcmp(d.kind, kind) == 0;
}

/* Tries without count steps from first on. */
static bool remove_steps(struct world *w, struct sequence *s, size_t first, size_t count,
	const char *kind)
{
	struct sequence shorter = *s;
	size_t after = s->count - first - count;

	shorter.count = s->count - count;
	shorter.steps = malloc((shorter.count + 1) * sizeof(*s->steps));
	memcpy(shorter.steps, s->steps, first * sizeof(*s->steps));
	memcpy(shorter.steps + first, s->steps + first + count, after * sizeof(*s->steps));
	if (still_differs(w, &shorter, kind)) {
		memcpy(s->steps, shorter.steps, shorter.count * sizeof(*s->steps));
		s->count = shorter.count;
		free(shorter.steps);
		return true;
	}
	free(shorter.steps);
	return false;
}

/* One pass from the end to the start with pieces of a size; returns whether one was not needed. */
static bool remove_pieces(struct world *w, struct sequence *s, size_t size, const char *kind)
{
	bool removed = false;

	for (size_t end = s->count; end > 0;) {
		size_t count = size < end ? size : end;

		if (remove_steps(w, s, end - count, count, kind))
			removed = true;
		end -= count;
	}
	return removed;
}

/* What steps have in common, so that they can be left out together: few runs, much gone. */
static unsigned op_of(const struct step *step)
{
	return step->op;
}

static unsigned actor_of(const struct step *step)
{
	return step->actor;
}

/* Tries without all the steps, but the last, of each class. */
static void remove_classes(struct world *w, struct sequence *s, unsigned classes,
	unsigned (*class_of)(const struct step *), const char *kind)
{
	struct sequence shorter = *s;

	shorter.steps = malloc(s->count * sizeof(*s->steps));
	for (unsigned class = 0; class < classes; class ++) {
		shorter.count = 0;
		for (size_t i = 0; i < s->count; i++) {
			if (class_of(&s->steps[i]) != class || i == s->count - 1)
				shorter.steps[shorter.count++] = s->steps[i];
		}
		if (shorter.count < s->count && still_differs(w, &shorter, kind)) {
			memcpy(s->steps, shorter.steps, shorter.count * sizeof(*s->steps));
			s->count = shorter.count;
		}
	}
	free(shorter.steps);
}

/* Simple values of a kind of argument, ended by -1; none for what has no order of simplicity. */
static const int64_t *simple_values(enum arg_kind kind)
{
	static const int64_t none[] = { -1 }, numbers[] = { 0, 1, 4096, -1 },
			     modes[] = { 0644, -1 }, slots[] = { 0, -1 };

	switch (kind) {
	case ARG_PICK:
		return none;
	case ARG_MODE:
		return modes;
	case ARG_FD:
	case ARG_FD_NEW:
	case ARG_FD_CLOSED:
	case ARG_MAP:
	case ARG_MAP_NEW:
	case ARG_NAME:
	case ARG_BITS:
		return slots;
	default:
		return numbers;
	}
}

static void simplify_value(struct world *w, struct sequence *s, int64_t *value, enum arg_kind kind,
	const char *difference)
{
	int64_t original = *value;

	for (const int64_t *simple = simple_values(kind); *simple != -1; simple++) {
		if (original == *simple)
			return;
		*value = *simple;
		if (still_differs(w, s, difference))
			return;
		*value = original;
	}
}

static void simplify_steps(struct world *w, struct sequence *s, const char *kind)
{
	for (size_t i = 0; i < s->count; i++) {
		struct step *step = &s->steps[i];
		const struct arg_spec *args = op_at(step->op)->args;

		for (int j = 0; j < MAX_ARGS && args[j].kind != ARG_NONE; j++)
			simplify_value(w, s, &step->arg[j], args[j].kind, kind);
	}
}

/* Whose calls they are matters less often than not: one actor for all, if that will do. */
static void merge_actors(struct world *w, struct sequence *s, const char *kind)
{
	for (size_t i = 0; i < s->count; i++) {
		uint16_t original = s->steps[i].actor;

		s->steps[i].actor = 0;
		if (original != 0 && !still_differs(w, s, kind))
			s->steps[i].actor = original;
	}
}

void sequence_shrink(struct world *w, struct sequence *s, const struct difference *d)
{
	unsigned settle_limit = w->settle_limit;
	size_t size;

	w->settle_limit = SHRINK_SETTLE_MS;
	if (d->step + 1 < s->count)
		s->count = d->step + 1;
	remove_classes(w, s, ACTORS, actor_of, d->kind);
	remove_classes(w, s, op_count(), op_of, d->kind);
	for (size = s->count / 2; size > 1; size /= 2)
		remove_pieces(w, s, size, d->kind);
	while (remove_pieces(w, s, 1, d->kind))
		;
	merge_actors(w, s, d->kind);
	simplify_steps(w, s, d->kind);
	while (remove_pieces(w, s, 1, d->kind))
		;
	w->settle_limit = settle_limit;
}

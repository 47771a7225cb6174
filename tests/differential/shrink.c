/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Delta debugging: first fewer steps, then simpler arguments. */
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

static void simplify_value(struct world *w, struct sequence *s, int64_t *value, const char *kind)
{
	static const int64_t simple[] = {0, 1, 0644, 4096};
	int64_t original = *value;

	for (size_t i = 0; i < sizeof(simple) / sizeof(*simple); i++) {
		if (original == simple[i])
			return;
		*value = simple[i];
		if (still_differs(w, s, kind))
			return;
		*value = original;
	}
}

static void simplify_steps(struct world *w, struct sequence *s, const char *kind)
{
	for (size_t i = 0; i < s->count; i++) {
		struct step *step = &s->steps[i];
		const struct arg_spec *args = op_at(step->op)->args;

		for (int j = 0; j < MAX_ARGS && args[j].kind != ARG_NONE; j++) {
			if (args[j].kind != ARG_PICK)
				simplify_value(w, s, &step->arg[j], kind);
		}
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

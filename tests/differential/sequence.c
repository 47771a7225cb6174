/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sequence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moment.h"

static void print_step(size_t number, const struct step *step, const struct outcome *native,
	const struct outcome *mount)
{
	char line[400], a[100], b[100];

	step_describe(step, line, sizeof(line));
	outcome_describe(native, a, sizeof(a));
	outcome_describe(mount, b, sizeof(b));
	if (strcmp(a, b) == 0)
		printf("  %2zu. %s = %s\n", number, line, a);
	else
		printf("  %2zu. %s = %s natively, %s on the mount\n", number, line, a, b);
}

static bool no_answer(const struct step *step, const char *side, struct difference *d)
{
	const char *why = errno == ETIMEDOUT ? "does not return" : "killed its process";

	snprintf(d->kind, sizeof(d->kind), "%s: %s", op_at(step->op)->name, why);
	snprintf(d->text, sizeof(d->text), "%s %s %s", op_at(step->op)->name, why, side);
	return true;
}

static bool run_step(struct world *w, const struct sequence *s, size_t i, bool print,
	struct difference *d)
{
	const struct step *step = &s->steps[i];
	const struct outcome *native, *mount;

	moments_tick();
	native = executor_run(world_native(w, step->actor), step);
	if (!native)
		return no_answer(step, "natively", d);
	mount = executor_run(world_mount(w, step->actor), step);
	if (!mount)
		return no_answer(step, "on the mount", d);
	if (print)
		print_step(i + 1, step, native, mount);
	if (compare_outcomes(w, step, native, mount, d))
		return true;
	if (strcmp(op_at(step->op)->name, "die") == 0)
		world_kill(w, step->actor);
	world_quiesce(w);
	return compare_views(w, s->watch, d);
}

bool sequence_run(struct world *w, const struct sequence *s, bool print, struct difference *d)
{
	moments_begin();
	compare_begin();
	world_reset(w);
	for (d->step = 0; d->step < s->count; d->step++) {
		if (run_step(w, s, d->step, print, d))
			return true;
	}
	/* The processes end first, so that what they held back shows if it stays. */
	world_kill_all(w);
	world_quiesce(w);
	return compare_views(w, true, d) || compare_contents(w, d);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running a sequence of steps on both sides, and making it small when it shows a difference. */
#pragma once

#include "compare.h"

struct sequence {
	struct step *steps;
	size_t count;
	/*
	 * Whether the files are looked at through the mount after each step. A look refreshes what
	 * the kernel knows, and so hides what it would otherwise not know: some sequences go without.
	 */
	bool watch;
};

/*
 * Runs it on fresh directories. Returns true when there is a difference, which it fills. With
 * print, every step is printed with both answers.
 */
bool sequence_run(struct world *, const struct sequence *, bool print, struct difference *);

/* Takes out all the steps that the difference does not need, in place. */
void sequence_shrink(struct world *, struct sequence *, const struct difference *);

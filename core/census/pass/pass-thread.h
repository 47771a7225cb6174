/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pass threads: the passes of a census run on a thread that has a back end and a table of its own,
 * so that it can be left behind with all that it has when a process does not answer (stall.h).
 */
#pragma once

#include "census/pass/backend.h"
#include "census/pass/stall.h"

struct pass_thread;

/* What a pass found besides the table. */
struct pass_result {
	struct census_tally tally;
	const char *incomplete_view; /* as the back end says */
};

/*
 * Makes a pass thread for the procfs at `proc`, with this back end; the process `self` is left out
 * (0: none is). 0, or a negative errno if that does not work here, with one line in `why`, or NULL.
 * The thread itself starts with the first pass.
 */
int pass_thread_new(const char *proc, pid_t self, const struct devices *devices,
	const struct census_backend *backend, struct stall_detector *detector,
	struct pass_thread **out, const char **why);
void pass_thread_free(struct pass_thread *pass_thread);

/*
 * Runs a pass and waits for it: 0 or a negative errno. -EBUSY: the thread waits for a process that
 * does not answer. Then it has been left behind and will free itself; `pass_thread` is no longer
 * the caller's.
 */
int pass_thread_run(struct pass_thread *pass_thread, const struct devices *devices, unsigned facets,
	struct pass_result *result);

/*
 * Returns true, with the result, if the table is what a pass would make it: see `unchanged` of the
 * back end, which the calling thread asks without waiting. False: it is not known, run a pass.
 */
bool pass_thread_is_unchanged(struct pass_thread *pass_thread, const struct devices *devices,
	unsigned facets, struct pass_result *result);

/* Between passes: the table that they fill, which belongs to the pass thread. */
struct spaces *pass_thread_spaces(const struct pass_thread *pass_thread);

/* What makes the counts wrong on this machine, in one line (a static string), or NULL. */
const char *pass_thread_caveat(const struct pass_thread *pass_thread);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who runs the passes of a census: a thread with a back end and a table of its own, so that it can
 * be left behind with all that it has when a process gives no answer (stall.h).
 */
#pragma once

#include "census/backend.h"
#include "census/stall.h"

struct reader;

/* What a pass came to. */
struct reader_result {
	struct census_tally tally;
	const char *blind; /* as the back end says */
};

/*
 * A reader of the procfs at `proc`, leaving out `self`, by this back end: a negative errno if that
 * does not work here, with one line in `why` or NULL. The thread begins with the first pass.
 */
int reader_new(const char *proc, pid_t self, const struct devices *devices,
	const struct census_backend *backend, struct patience *patience, struct reader **out,
	const char **why);
void reader_free(struct reader *reader);

/*
 * Runs a pass and waits for it: 0 or a negative errno. -EBUSY: it waits for a process that does not
 * answer, which is stuck from now on. The reader has been left behind, and frees itself in time.
 */
int reader_run(struct reader *reader, const struct devices *devices, unsigned facets,
	struct reader_result *result);

/*
 * A pass by the calling thread, if that finds all as it was, and at once: see `unchanged` of the
 * back end. False: nothing is known, and a pass has to be run.
 */
bool reader_is_unchanged(struct reader *reader, const struct devices *devices, unsigned facets,
	struct reader_result *result);

/* Between passes: what they found; and why processes may be invisible, or NULL. */
struct spaces *reader_spaces(const struct reader *reader);
const char *reader_blind(const struct reader *reader);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A back end of the census: a way to find out what every process maps and holds.
 *
 * A back end updates the table of address spaces (spaces.h). It may read all processes anew in each
 * pass, or find out by other means which have changed.
 */
#pragma once

#include "census/counts/devices.h"
#include "census/counts/spaces.h"
#include "procfs/proc.h"

/* What a back end works with; it outlives the back end. */
struct census_source {
	struct proc *proc;
	struct devices *devices; /* may gain devices between passes: see its generation */
	pid_t self;              /* not counted, nor its descriptors; 0: all count */
};

/* What one pass saw. */
struct census_tally {
	uint64_t spaces;       /* address spaces */
	uint64_t reread;       /* of these, read anew */
	uint64_t unreadable;   /* processes with an address space that could not be read */
	uint64_t inconsistent; /* see struct census_report */
	int shortage; /* 0, or why something was not read (is_shortage()): the pass is worth nothing */
};

struct census_backend {
	const char *name; /* as in the option `census=` and in `status` */
	bool knows_files; /* its rows say which open file they come of */

	/*
	 * 0, with the back end's state in `out`; or a negative errno if it cannot work here, with
	 * one line (a static string) in `why` that says what is missing.
	 */
	int (*open)(const struct census_source *source, void **out, const char **why);

	/*
	 * Between spaces_begin() and spaces_end(), which the caller calls: brings the table to what
	 * is true at an instant after the call began, for the facets asked. A process that vanishes
	 * meanwhile is no error. A negative errno says that the pass as a whole failed.
	 */
	int (*pass)(void *state, struct spaces *spaces, unsigned facets,
		struct census_tally *tally);

	/*
	 * Outside spaces_begin() and spaces_end(): whether the table is, for these facets, what a
	 * pass would make it; then with that pass's tally. Waits for nothing, and asks no process.
	 * NULL: the back end cannot tell.
	 */
	bool (*unchanged)(void *state, unsigned facets, struct census_tally *tally);

	/*
	 * What makes the counts wrong on this machine although everything can be read, in one line
	 * (a static string), or NULL. Asked once, after open(). NULL: there is nothing.
	 */
	const char *(*caveat)(void *state);

	/* Why whole processes may be invisible, in one line (a static string), or NULL. */
	const char *(*incomplete_view)(void *state);

	void (*free)(void *state);
};

extern const struct census_backend census_backend_bpf;
extern const bool census_bpf_is_built_in;
extern const struct census_backend census_backend_query;
extern const struct census_backend census_backend_text;

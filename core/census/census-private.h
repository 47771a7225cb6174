/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structure of a census, for census.c, which makes the passes, and results.c, which tells their
 * results.
 */
#pragma once

#include "census/census.h"

#include "census/mount-register.h"
#include "census/object/object-side.h"
#include "census/pass/pass-thread.h"
#include "census/remember.h"

#include <glib.h>

struct census {
	char *proc; /* the prefix */
	pid_t self;
	enum census_backend_choice choice;
	const struct census_backend
		*backend; /* NULL before the first pass, if the choice is auto */
	struct stall_detector *stall_detector;
	struct pass_thread
		*pass_thread;  /* NULL: it has been left behind, the next pass makes another */
	struct spaces *spaces; /* the pass thread's */
	struct object_side *object_side;
	struct mount_register *mounts; /* NULL: there is none. Used by one pass at a time */
	char *why_not_better;
	struct memory memory;
	struct charged *charged;
	struct sums *sums;

	GMutex lock;
	GCond changed;
	/* Under the lock. */
	uint64_t begun, ended;       /* passes, numbered from 1 */
	unsigned awaited_facets;     /* of those who wait for the next pass */
	unsigned awaiting;           /* how many */
	unsigned holders;            /* who look at the last pass */
	int result;                  /* of the last pass */
	unsigned facets;             /* of the last pass */
	struct devices next_devices; /* for the next pass */
	struct census_report report;
};

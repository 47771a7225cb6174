/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who uses shared memory: a row for each process, and one for each control group. Taken at one
 * instant, rendered row by row afterwards.
 * A SHARE is what a segment takes in memory and swap, divided by the number of processes that map or hold it (as
 * PSS in /proc/PID/smaps is of pages): the shares of all processes add up to the memory of all segments in use.
 */
#pragma once

#include "kinds/kind.h"
#include "base/packed.h"
#include "base/view-rows.h"

enum processes_form { PROCESSES_TABLE, PROCESSES_JSON, CGROUPS_TABLE, CGROUPS_JSON };

/*
 * The processes that use segments, those of other realms included, ordered by pid; or their control
 * groups, by path. Only of those whose memory the caller could read in /proc; the others are
 * counted, and so is what could not be read or listed. `budget` may be NULL. Holds the census meanwhile.
 * 0, or the negative errno of census_hold().
 */
int processes_take(const struct realm *own, const struct caller *caller, enum processes_form form,
	struct budget *budget, struct view_rows *out);

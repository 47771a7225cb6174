/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A page to look at in a browser: the file `report.html`, complete in itself.
 *
 * The page's own parts (markup, style, script) are files of core/views/report/, put into the program when it is
 * built. What is made when the file is opened is the data, a JSON document in a <script> element: the rows of
 * `segments`, of the daemon's realm and of those that the caller may get at (kinds/realms.h); and the processes that
 * use them, as `processes` and `mappers` show them to the caller.
 *
 * The data is bounded: the largest REPORT_SEGMENTS segments, the REPORT_PROCESSES processes with the largest
 * share, REPORT_USERS users of each segment. The sums are over all, and the page says what it leaves out.
 */
#pragma once

#include "caller/caller.h"
#include "kinds/realm.h"
#include "base/packed.h"
#include "base/view-rows.h"

#define REPORT_SEGMENTS 20000
#define REPORT_PROCESSES 5000
#define REPORT_USERS 32

/*
 * Takes the snapshot, as the caller may see it. `source`: the path of the daemon's tmpfs, kept by the caller. Call it
 * as segments_take(): 0, or its error.
 */
int report_take(const struct realm *own, const char *source, const struct caller *caller,
	struct budget *budget, struct view_rows *out);

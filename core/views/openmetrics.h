/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All segments, their sums, the limits and the state of the census as OpenMetrics 1.0 text: the
 * file `metrics`.
 *
 * The format wants all samples of one family together, where a table has all values of one segment
 * together: rows are numbered family by family, and each one is rendered from the snapshot when it
 * is asked for. Only gauges and counters occur, and only escapes that the older text format has
 * too: a program that reads only that format (node_exporter's textfile collector) can read this.
 */
#pragma once

#include "kinds/realm.h"
#include "base/packed.h"
#include "base/view-rows.h"

struct faults;

/* Takes the snapshot. Call it as segments_take(). `faults` may be NULL. */
int openmetrics_take(const struct realm *realm, struct faults *faults, struct budget *budget,
	struct view_rows *out);

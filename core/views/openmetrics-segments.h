/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every segment as metrics: the file `metrics.segments`. Many segments are many series, which Prometheus keeps
 * in memory: `metrics` (openmetrics.h) is for those who do not need each one.
 *
 * The format wants all samples of one family together, where a table has all values of one segment
 * together: rows are numbered family by family, and each one is rendered from the snapshot when it is asked
 * for.
 */
#pragma once

#include "base/view-rows.h"
#include "views/openmetrics-format.h"

/* Takes the snapshot. Call it as segments_take(). */
int openmetrics_segments(const struct realm *realm, struct budget *budget, struct view_rows *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All segments, their sums, the limits and the state of the census as OpenMetrics 1.0 text: the
 * file `metrics`.
 *
 * The format wants all samples of one family together, where a table has all values of one segment
 * together: rows are numbered family by family, and each one is rendered from the snapshot when it
 * is asked for. No type but gauge and counter occurs, and no escape that is not the older text
 * format's as well: what reads only that one (node_exporter's textfile collector) reads this too.
 */
#pragma once

#include "views/segments.h"

struct openmetrics;

/* Call it with the census held for both facets. Never NULL. */
struct openmetrics *openmetrics_take(const struct realm *realm);
void openmetrics_free(struct openmetrics *openmetrics);

/* Rows of the text, of one line or a few or none, and the memory that they are rendered from. */
size_t openmetrics_rows(const struct openmetrics *openmetrics);
size_t openmetrics_bytes(const struct openmetrics *openmetrics);

/* Append row number `row`; the same text each time. */
void openmetrics_format(const struct openmetrics *openmetrics, size_t row, GString *out);

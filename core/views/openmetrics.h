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

struct metrics;

/* Call it with the census held for both facets. Never NULL. */
struct metrics *metrics_take(const struct realm *realm);
void metrics_free(struct metrics *metrics);

/* Rows of the text, of one line or a few or none, and the memory that they are rendered from. */
size_t metrics_rows(const struct metrics *metrics);
size_t metrics_bytes(const struct metrics *metrics);

/* Append row number `row`; the same text each time. */
void metrics_render(const struct metrics *metrics, size_t row, GString *out);

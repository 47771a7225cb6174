/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes and segments as a Graphviz digraph: the file `graph.dot`.
 *
 * An edge from a process to a segment stands for its mappings, a dashed one for its descriptors,
 * with their number. Whether a reader sees a process is what the rows of `mappers` go by: those
 * whose mappings procfs would not show are one node, without numbers or names, so that the edges of
 * a segment still add up to its counts.
 */
#pragma once

#include "views/segments.h"

struct dot;

/* As the caller may see it. Call it with the census held for both facets. Never NULL. */
struct dot *dot_take(const struct realm *realm, const struct caller *caller);
void dot_free(struct dot *dot);

/* Rows of the text, and the memory that they are rendered from. */
size_t dot_rows(const struct dot *dot);
size_t dot_bytes(const struct dot *dot);

/* Append row number `row`; the same text each time. */
void dot_format(const struct dot *dot, size_t row, GString *out);

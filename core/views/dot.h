/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes and segments as a Graphviz digraph that can be read: the file `graph.dot`.
 *
 * An ellipse is a process, or, where there are many, those of one program and unit; units are boxes around them.
 * A box is a segment, or all that are alike: of the same kind and state, used by the same ellipses, and with
 * names that differ in numbers alone. All that is idle is one box. The colour tells the state, the size of the letters
 * how much memory it is. One edge stands for all mappings and descriptors between the two.
 *
 * A reader sees the same processes as in `mappers`: those whose mappings procfs would not show it are a single
 * node, without pids or names, so that the edges of a segment still add up to its counts.
 */
#pragma once

#include "caller/caller.h"
#include "kinds/realm.h"
#include "base/packed.h"
#include "base/view-rows.h"

/* Takes the snapshot, as the caller may see it. Call it as segments_take(). */
int dot_take(const struct realm *realm, const struct caller *caller, struct budget *budget,
	struct view_rows *out);

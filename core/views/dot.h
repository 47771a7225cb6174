/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes and segments as a Graphviz digraph: the file `graph.dot`.
 *
 * An edge from a process to a segment stands for its mappings, a dashed one for its descriptors,
 * with their number. A reader sees the same processes as in `mappers`: those whose mappings procfs
 * would not show it are a single node, without pids or names, so that the edges of a segment still
 * add up to its counts.
 */
#pragma once

#include "caller/caller.h"
#include "kinds/realm.h"
#include "base/packed.h"
#include "base/view-rows.h"

/* Takes the snapshot, as the caller may see it. Call it as segments_take(). */
int dot_take(const struct realm *realm, const struct caller *caller, struct budget *budget,
	struct view_rows *out);

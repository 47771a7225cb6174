/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files `faults` and `faults.json`: which processes got SIGBUS from a segment, and why. */
#pragma once

#include "faults/faults.h"
#include "kinds/attribute.h"

/*
 * Append a table, or JSON, with a row for each bus error of a process whose memory the caller could
 * read in /proc; of one that is dead, could have read. The others are counted. What is missing is
 * said, and why.
 */
void fault_rows_show(const struct view *view, struct faults *faults, GString *out);
void fault_rows_json(const struct view *view, struct faults *faults, GString *out);

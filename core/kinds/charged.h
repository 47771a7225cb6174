/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attribute `charged`: a row for each memory cgroup that pays for pages of the segment. Reading
 * it visits each page, and stops after some time, which it says.
 *
 * A caller that sees all processes sees all rows; any other caller sees that of its own group, and
 * how much is not shown.
 */
#pragma once

#include "kinds/kind.h"

/* For tables of kinds of segments. */
extern const struct attribute charged_attributes[];

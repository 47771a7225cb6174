/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files directly under .shmtree: status, segments, metrics and others. */
#pragma once

#include "tree/tree-entry.h"

/* The entries of these files; the last one has no name. */
extern const struct tree_entry tree_files[];

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which references of an object are descriptors of the daemon's own, at the time of a look.
 */
#pragma once

#include "census/object/programs.h"

#include <glib.h>

/* Lists of struct own_file, before and after the look. */
struct own_files_seen {
	GArray *before, *after;
};

void own_files_init(struct own_files_seen *own);
void own_files_clear(struct own_files_seen *own);

/*
 * own_files_begin() before the look, own_files_end() after it: 0 or a negative errno. Then `before` has
 * what was open all the while: only that was certainly counted by the look. If more were left out, an
 * object that another process has would seem idle.
 */
int own_files_begin(struct own_files_seen *own, struct object_programs *programs);
int own_files_end(struct own_files_seen *own, struct object_programs *programs);

/* Returns how many of them are of an inode; `served`: those without O_PATH. */
uint32_t own_files_of(const struct own_files_seen *own, uint64_t inode, uint32_t *served);

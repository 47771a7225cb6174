/* SPDX-License-Identifier: GPL-2.0-or-later */
/* POSIX shared memory objects: .shmtree/posix/NAME, facts about the files of the mount's root. */
#pragma once

#include "kinds/kind.h"

/* The name that no object can have in the mount's root; an object of that name is not shown. */
#define POSIX_RESERVED_NAME ".shmtree"

/* What an object of that name is, whose file has that stat. */
void posix_make_item(const char *name, const struct stat *st, struct item *out);

extern const struct kind kind_posix;

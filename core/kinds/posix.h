/* SPDX-License-Identifier: GPL-2.0-or-later */
/* POSIX shared memory objects: .shmtree/posix/NAME, facts about the files of the mount's root. */
#pragma once

#include "kinds/kind.h"

/* The name in the mount's root that no object can have there; one that has it is left alone. */
#define POSIX_RESERVED_NAME ".shmtree"

extern const struct kind kind_posix;

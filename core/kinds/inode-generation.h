/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which file a descriptor is, beyond device and inode number, which come again. */
#pragma once

#include "kinds/kind.h"

/*
 * Fills in all of `out` but the descriptor, for one of a tmpfs or hugetlbfs (O_PATH will do).
 * 0 or a negative errno.
 */
int file_identify(int fd, struct item_file *out);

/*
 * Whether a memfd has a seal against writing, or may get one yet. The kernel looks for these seals
 * when the memfd itself is mapped, but not when it maps one as the backing file of another: who may
 * write `data` would change what somebody else relies upon to be sealed.
 */
bool file_is_sealable(int fd);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells files apart beyond device and inode number, which the kernel uses again. */
#pragma once

#include "kinds/kind.h"

/*
 * Fills in all of `out` but the descriptor, for a file of a tmpfs or hugetlbfs (`fd` may be
 * O_PATH). 0 or a negative errno.
 */
int file_identify(int fd, struct item_file *out);

/*
 * Whether a memfd has a seal against writing, or may get one yet. The kernel looks for these seals
 * when the memfd itself is mapped, but not when it maps one as the backing file of another: a
 * process that may write `data` would change bytes that another process relies upon to be sealed.
 */
bool file_is_sealable(int fd);

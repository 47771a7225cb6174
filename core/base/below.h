/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at files below a directory, on its own file system alone. What somebody has mounted there is another
 * file system, which may never answer: it is not asked.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

/* Opens what the path leads to, without following links. A negative errno: -EXDEV for a mount. */
int open_below(int dir, const char *path, uint64_t flags);

/*
 * What fstatat(2) tells of a name in the directory, which is on the file system `dev`, without following a
 * link. 0, or a negative errno: -EXDEV for a mount. Only the fields that statx(2) has in STATX_BASIC_STATS.
 */
int stat_below(int dir, const char *name, dev_t dev, struct stat *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kind of files in directories below the root of the tmpfs of POSIX objects:
 * .shmtree/nested/INODE. They are no objects (shm_open(3) knows no directories), but take its
 * space, and are mapped as objects are. One that has a name in the tmpfs's root too is an object,
 * and not listed here.
 *
 * What a directory keeps from others is in none of the tables: NAME is the path as far as all its
 * directories let everyone list them, and of a file below a directory that does not, mode, owner and
 * times are that directory's. In nested/ itself are, for each caller, the files that this caller could
 * find by listing; and those of their own that they could open.
 *
 * Directories deeper than 32 levels are not looked at, nor other file systems mounted in between.
 */
#pragma once

#include "kinds/kind.h"

extern const struct kind kind_nested;

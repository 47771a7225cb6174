/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may prevent the mount, found out before anything is done. */
#pragma once

#include "daemon/options.h"

/*
 * 0, or -1 after one line on stderr about what prevents the mount and what to do. Makes the mount point
 * a path without symbolic links, and notes whether a dead mount of ours is there.
 */
int prerequisites_check(struct options *options);

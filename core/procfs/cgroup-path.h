/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

/*
 * The path, below the root of its hierarchy, of the control group that pays for memory and whose
 * directory has that inode number: version 1's memory controller, else version 2, in their usual
 * places below /sys/fs/cgroup. `*out` is NULL if it is gone, or cannot be told, and freed with
 * g_free(). 0, or -EMFILE, -ENOMEM and what else says nothing of the group (is_failure()).
 * open_by_handle_at(2), which takes CAP_DAC_READ_SEARCH.
 */
int cgroup_path_of(uint64_t ino, char **out);

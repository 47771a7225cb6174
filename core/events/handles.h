/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File handles of a tmpfs, by which a file is known that has no name any more. The kernel documents no
 * handle's content: whether one is as expected shows in the inode number.
 */
#pragma once

#include "events/fanotify-records.h"

#include <sys/stat.h>

/* Fills in the handle of a name in the directory, of itself if it is "". 0 or a negative errno. */
int handle_of(int directory, const char *name, uint8_t out[TMPFS_HANDLE_BYTES]);

uint32_t handle_generation(const uint8_t handle[TMPFS_HANDLE_BYTES]);

/*
 * Fills in what a file of that tmpfs is now, whether it has a name or not. 0, -ESTALE if it is gone, or another
 * negative errno if that cannot be told. Needs CAP_DAC_READ_SEARCH.
 */
int handle_stat(int directory, uint64_t inode, uint32_t generation, struct stat *out);

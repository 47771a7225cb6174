/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory the control groups that this process is in leave to it.
 *
 * The kernel ends a process that needs more than its group may have. Who is about to take much asks
 * first, and refuses instead.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether so many bytes more leave a quarter of each limit free, of the group that this process is in now
 * and of those above it. What the kernel can drop at once, pages of files on disks, counts as free. True
 * where there is no limit, or none that this process can read. Takes some tenths of a millisecond.
 */
bool memory_has_room(uint64_t bytes);

/* The same of one group, by the files of its directory, of either version of control groups. */
bool memory_group_has_room(const char *directory, uint64_t bytes);

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
 * Whether so many bytes more, besides what is promised, leave a quarter of each limit free, of the group
 * that this process is in now and of those above it. What the kernel can drop at once, pages of files on
 * disks, counts as free. True where there is no limit, or none that this process can read. Takes some
 * tenths of a millisecond.
 */
bool memory_has_room(uint64_t bytes);

/*
 * The same for memory that is taken little by little, while others ask: it counts for them until the caller
 * says that it is taken, or not needed. False: nothing is promised.
 */
bool memory_promise(uint64_t bytes);
void memory_promise_kept(uint64_t bytes);

/* Whether one group has room, by the files of its directory, of either version of control groups. */
bool memory_group_has_room(const char *directory, uint64_t bytes);

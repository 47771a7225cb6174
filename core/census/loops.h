/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loop devices whose backing file is a segment: the kernel has that file open, and no process.
 *
 * Which file it is, LOOP_GET_STATUS64 tells: it asks the file's file system, which may not answer.
 * So only devices are asked whose backing file, by the name that sysfs shows, is on a tmpfs or
 * a hugetlbfs of this mount namespace, or has no path at all, as a memfd. Not on a shmtree: whose
 * daemon may be anybody's, by that name, and its device is not the segment's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop_device {
	unsigned number;   /* of /dev/loopN */
	uint64_t dev, ino; /* st_dev and st_ino of the backing file */
	bool read_only;
	bool swap; /* the kernel swaps to it */
};

/* Calls `visit` for each, in no order. `proc`: the procfs, for its `swaps`. May wait for a device. */
void loops_each(const char *proc, void (*visit)(const struct loop_device *loop, void *data),
	void *data);

/*
 * Whether a backing file of that name may be a segment, by the text of a mountinfo file: see above.
 * Pure.
 */
bool loops_may_back(const char *name, const char *mountinfo);

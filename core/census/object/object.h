/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the object side tells of one object that is in use. */
#pragma once

#include "census/counts/segment.h"

#include <stdbool.h>

/*
 * A segment's file, as the last pass found it. One that nothing uses (quiet.h) has no `inode`, and
 * what it takes is known only together with the others of its device.
 */
struct object {
	struct segment_key key; /* `ns` is not known: 0 for every System V segment */
	uint64_t inode;         /* its address in the kernel: never to be shown */
	uint32_t generation;
	uint32_t nlink;
	uint32_t references; /* open files that refer to it; System V: less the segment's own */
	uint32_t served;     /* open files of the daemon, but for O_PATH; not in `references` */
	uint64_t allocated, swapped; /* bytes */
	uint64_t size;               /* likewise */
	uint32_t uid;
	bool huge; /* of huge pages */
	bool mapped;
	bool in_root; /* has a name in the root directory of its file system */
	bool shown;   /* with facts: one of these names is a POSIX object's */
	bool moved;   /* the two looks differ: `references` is the smaller */
	guint detail; /* private to objects.c */
};

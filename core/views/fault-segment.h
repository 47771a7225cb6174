/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The segment of a bus error, as `faults` and `events` name it. */
#pragma once

#include "events/events.h"
#include "faults/faults.h"
#include "kinds/realm.h"

#include <limits.h>

struct fault_segment {
	const char
		*kind; /* a static string: the KIND column of `segments`, or "tmpfs", "hugetlbfs" */
	/* As the directory of that kind has it; of another IPC namespace, with that before it. */
	char id[NAME_MAX + 1];
	char name[NAME_MAX + 1]; /* raw bytes, may be empty */
};

/* `realm` is the daemon's own. */
void fault_segment_find(const struct fault *fault, const struct realm *realm,
	struct fault_segment *out);

/* Tells the bus error as an event, if there is a use for it. From any thread. */
void fault_tell(const struct fault *fault, const struct realm *realm, struct events *events);

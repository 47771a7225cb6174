/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a census keeps of each pass for later: counts/past.h. */
#pragma once

#include "census/counts/past.h"
#include "census/counts/spaces.h"
#include "census/object/object-side.h"

/* What a pass has looked at. */
enum seen { SEEN_MAPPINGS, SEEN_DESCRIPTORS, SEEN_KINDS };

struct memory {
	const char *proc; /* the procfs of the processes; not owned */
	struct past *past;
	past_time seen[SEEN_KINDS]; /* when a pass last did; the thread that runs a pass has it */
};

/*
 * After a pass over these facets that went well, before anybody looks at its result: of each segment
 * that has lost its last row, who had it; what the objects show that processes do not; and the time.
 * The thread is alone with the table.
 */
void remember_pass(struct memory *memory, struct spaces *spaces, const struct object_side *side,
	unsigned facets);

/* The same, if that pass found nothing changed. */
void remember_unchanged(struct memory *memory, unsigned facets);

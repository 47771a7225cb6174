/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF programs of the census as functions.
 *
 * Threads: one at a time, but for programs_read().
 */
#pragma once

#include "census/bpf/records.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct programs;

/*
 * Loads the programs; they leave out the process `self` (0: none). A negative errno if the kernel
 * refuses them, with one line in `why` that is never freed.
 */
int programs_load(pid_t self, struct programs **out, const char **why);
void programs_free(struct programs *programs);

/*
 * A version of every address space, and the pid cursor at the moment the walk began. The versions
 * belong to the programs, valid until the next walk. A negative errno if the kernel refused.
 */
struct mm_versions {
	const struct mm_version *at;
	size_t count;
	uint32_t pid_cursor;
	uint32_t uncertain; /* processes that live and have no version: try again */
	uint32_t met;       /* processes, those without an address space included */
	bool partial;       /* there may be processes outside our pid namespace */
	bool quiet;         /* no process or thread was made meanwhile */
};
int programs_walk(struct programs *programs, struct mm_versions *versions);

/*
 * The same, but -ENOSPC rather than to make room for more processes than before, which takes long.
 */
int programs_walk_at_once(struct programs *programs, struct mm_versions *versions);

/* How many threads may be in programs_read() at once, each in a slot of its own, from 0. */
unsigned programs_slots(const struct programs *programs);

/*
 * Shows `visit` the mappings of the address space of a version, in ascending order; a mapping whose
 * `same_file` is set has the file of the one before. READ_DONE, with the version's `seq` as it was
 * then; or another status, and what was shown is void. A negative errno if the kernel refused.
 *
 * With `to_the_end`, an address space that changes meanwhile is read to its end all the same. Then
 * what was shown before READ_TORN are the mappings that stayed, each of them, and some of those that
 * came and went. Without, READ_TORN is returned as early as can be.
 */
int programs_read(struct programs *programs, unsigned slot, struct mm_version *version,
	bool to_the_end, void (*visit)(const struct seen_mapping *seen, void *data), void *data);

/*
 * Shows `visit` each descriptor that may refer to a segment, those of one thread one after another
 * in ascending order, the threads in the order of their pids.
 */
int programs_descriptors(struct programs *programs,
	void (*visit)(const struct seen_descriptor *seen, void *data), void *data);

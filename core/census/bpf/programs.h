/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads the BPF programs of the census, and runs them.
 *
 * Threads: one at a time; only programs_read() may run in several threads at once.
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
 * programs_walk() walks over all processes: it returns a version of every address space, and the
 * pid cursor at the moment the walk began. The versions belong to the programs, valid until the
 * next walk. A negative errno if the kernel refused.
 */
struct mm_versions {
	const struct mm_version *at;
	size_t count;
	uint32_t pid_cursor;
	uint32_t uncertain; /* live processes without a version: walk again */
	uint32_t met;       /* processes, also those without an address space */
	bool partial;       /* there may be processes outside our pid namespace */
	bool quiet;         /* no process or thread was made meanwhile */
};
int programs_walk(struct programs *programs, struct mm_versions *versions);

/*
 * As programs_walk(), but returns -ENOSPC instead of making room for more processes than before,
 * which takes long.
 */
int programs_walk_at_once(struct programs *programs, struct mm_versions *versions);

/* How many threads may be in programs_read() at once. Each has a slot of its own, from 0. */
unsigned programs_slots(const struct programs *programs);

/*
 * Calls `visit` with each mapping of a version's address space that may be of a segment, in
 * ascending order; a mapping whose `same_file` is set has the file of the one before. Returns
 * READ_DONE, with the version's `seq` as it was then; or another status, and what was visited is
 * void. A negative errno if the kernel refused.
 *
 * With `to_the_end`, an address space that changes meanwhile is read to its end all the same. Then
 * what was visited before READ_TORN are all mappings that stayed, and some of those that came or
 * went. Without it, READ_TORN is returned as early as possible.
 */
int programs_read(struct programs *programs, unsigned slot, struct mm_version *version,
	bool to_the_end, void (*visit)(const struct seen_mapping *seen, void *data), void *data);

/*
 * Calls `visit` with each descriptor that may refer to a segment, those of one thread one after
 * another in ascending order, the threads in the order of their pids.
 */
int programs_descriptors(struct programs *programs,
	void (*visit)(const struct seen_descriptor *seen, void *data), void *data);

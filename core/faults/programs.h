/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads the BPF programs that see bus errors, and hands on what they record.
 */
#pragma once

#include "faults/records.h"

#include <stdint.h>

struct fault_programs;

/*
 * Loads the programs. A negative errno if the kernel refuses them, with one line in `why` that is
 * never freed.
 */
int fault_programs_load(struct fault_programs **out, const char **why);

/*
 * Begins to record. As above. Processes are numbered as in the pid namespace of the process that called
 * fault_programs_try() before.
 */
int fault_programs_start(struct fault_programs *programs, const char **why);
void fault_programs_free(struct fault_programs *programs);

/* Tells which files of FUSE stand for segments: those of the file system with that st_dev. */
void fault_programs_set_mount(struct fault_programs *programs, uint64_t dev);

/* Returns a descriptor that poll(2) says is readable while there are records. The programs own it. */
int fault_programs_fd(const struct fault_programs *programs);

/* Calls `visit` for each record since the last call. One thread at a time. */
void fault_programs_take(struct fault_programs *programs,
	void (*visit)(const struct seen_fault *seen, void *data), void *data);

/* Returns how many there were since the programs were loaded. From any thread. */
struct fault_counts fault_programs_counts(const struct fault_programs *programs);

/*
 * Looks at an address of this process as if an access to it had failed: 1, and what would be recorded;
 * 0 if it is of no segment; or a negative errno: the program did not run. Before
 * fault_programs_start(), and one thread at a time.
 */
int fault_programs_try(struct fault_programs *programs, const void *address,
	struct seen_fault *out);

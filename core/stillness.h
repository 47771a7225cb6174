/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a process stood still while it was read.
 *
 * Its mappings change by what its threads do, and by nothing else: if none has run, they are what
 * they were. The kernel counts in nanoseconds how long each thread has run
 * (/proc/PID/task/TID/schedstat), and adds to the count when the thread leaves the processor. So
 * nobody has run between two looks if the counts are the same and, at the second, nobody is running.
 *
 * Not seen are tasks that share the address space without being threads of the process (vfork(2),
 * CLONE_VM), and a userfaultfd that another process has of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What the threads of a process have run so far. */
struct stillness {
	bool known;       /* false: the kernel does not count, or the process is gone */
	uint64_t threads; /* which they are: a hash of their ids */
	uint64_t ran;     /* ns, all together */
};

/* `dir` is of /proc/PID. */
struct stillness stillness_look(int dir);

/* Whether nobody has run since that look. */
bool stillness_kept(int dir, const struct stillness *since);

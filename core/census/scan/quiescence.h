/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a process stood still while it was read.
 *
 * Its mappings change by what its threads do, and by nothing else: if none has run, they are what
 * they were. The kernel counts how often each thread has got onto a processor
 * (/proc/PID/task/TID/schedstat). Who is off it at two looks, and has not got onto it between them,
 * has not run. That a thread is off it says /proc/PID/task/TID/syscall, which is answered only for
 * one whose registers are saved; the state in stat does not: a thread that is about to sleep says
 * so while it still runs. Nor is the time that it has run enough: what a hypervisor took of it is
 * subtracted, to nothing if need be.
 *
 * Not seen are tasks that share the address space without being threads of the process (vfork(2),
 * CLONE_VM), and a userfaultfd that another process has of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How often the threads of a process got onto a processor, all of them being off it. */
struct quiescence {
	bool known;       /* false: one ran, the kernel does not tell us, or the process is gone */
	uint64_t threads; /* which they are: a hash of their ids */
	uint64_t turns;   /* of all together */
};

/* `dir` is of /proc/PID. */
struct quiescence quiescence_observe(int dir);

/* Whether nobody has run since that look. */
bool quiescence_held(int dir, const struct quiescence *since);

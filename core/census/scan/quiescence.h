/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether no thread of a process ran while the process was read.
 *
 * Only a process's own threads change its mappings: if none has run, the mappings are the same. The
 * kernel counts how often each thread got onto a processor (/proc/PID/task/TID/schedstat). A thread
 * that is off the processor at two observations, with the same count at both, has not run between
 * them. /proc/PID/task/TID/syscall tells whether a thread is off the processor, since the kernel
 * answers it only when the thread's registers are saved. The state in `stat` does not tell: a
 * thread that is about to sleep shows the new state while it still runs. The time that a thread has
 * run does not either: the kernel subtracts what a hypervisor took, which may leave no increase at
 * all.
 *
 * What it gives and costs, measured in turn with and without it on two busy processors: a process
 * that moved one of eight mappings of an object back and forth, and slept for 200 us in between,
 * was read 300 times by PROCMAP_QUERY. With it 32 counts were wrong and each was said to be
 * inconsistent; without it 37 were, and none was. By text 35 of 200, all said, and 49, none said. A
 * pass over 514 processes at rest took 1.13 s with it, and 0.67 s without.
 *
 * Not seen are tasks that share the address space without being threads of the process (vfork(2),
 * CLONE_VM), and a userfaultfd that another process has of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* An observation: how often the threads of a process got onto a processor; all are off it. */
struct quiescence {
	bool known; /* false: a thread runs, the kernel does not tell, or the process is gone */
	uint64_t threads; /* a hash of their ids */
	uint64_t turns;   /* the sum over all threads */
};

/* Observes the process whose directory /proc/PID `dir` is. */
struct quiescence quiescence_observe(int dir);

/* Observes it again: whether no thread of it has run since `since`. */
bool quiescence_held(int dir, const struct quiescence *since);

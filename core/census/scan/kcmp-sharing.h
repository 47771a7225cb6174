/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which processes are one address space or one descriptor table, found out by kcmp(2).
 *
 * vfork(2) and clone(2) with CLONE_VM or CLONE_FILES make processes that share; sharing begins
 * only there and ends at the latest with execve(2). Two processes found distinct stay so as long
 * as they live, so that only new processes, and those known to share, are compared in later passes.
 * And processes that share have the same program, stack and arguments at the same addresses, so
 * that a process is compared only with forks of its own family.
 */
#pragma once

#include "procfs/proc.h"
#include "census/counts/spaces.h"

#include <linux/kcmp.h>

/* What a back end that calls kcmp_sharing_resolve() keeps in the backend_data of its spaces. */
enum scan_data {
	SCAN_DATA_LAYOUT,   /* struct proc_stat's, from before the rows were read */
	SCAN_DATA_DISTINCT, /* kcmp-sharing.c's own */
};

/*
 * Marks the spaces whose rows are counted by another space. Appends to `stale` the pids of
 * processes that have loaded another program since their rows were read: those rows may be of an
 * address space or table that the process shared until then. If the pids of the procfs are not
 * those that kcmp(2) takes, every process counts as distinct.
 */
void kcmp_sharing_resolve(const struct proc *proc, struct spaces *spaces, unsigned facets,
	GArray *stale);

/*
 * Searches `sorted` for an element whose thread shares what `type` says with the thread `task`:
 * KCMP_VM, the address space; KCMP_FILES, the descriptor table. The elements are in the order that
 * kcmp(2) gives, each with another address space or table; `task_of` returns an element's thread.
 *
 * KCMP_FOUND; KCMP_ABSENT, with the index in `at` where `task` belongs; KCMP_UNKNOWN, with the
 * index of an element that could not be compared with `task`: one of the two threads may be gone.
 */
enum kcmp_result { KCMP_FOUND, KCMP_ABSENT, KCMP_UNKNOWN };
enum kcmp_result kcmp_search(const GPtrArray *sorted, pid_t (*task_of)(gconstpointer element),
	pid_t task, int type, guint *at);

/*
 * Calls `visit` with a directory, /proc/PID/task/TID, for each descriptor table of the process whose
 * directory is `dir`, except for that of its thread `task` (0: for all). Threads that called
 * unshare(CLONE_FILES) have one of their own. Ends with the first error of `visit` that does not say
 * that the thread is gone; -ESRCH if a thread that was visited has gone, and which other threads
 * share its table cannot be told any more; or another negative errno.
 */
int kcmp_each_table(int dir, pid_t task, int (*visit)(int thread, void *data), void *data);

/* Whether kcmp(2) can compare this thread, at least with itself. False of one that is gone. */
bool kcmp_can_compare(pid_t task, int type);

/* False if kcmp(2) does not work here: the kernel lacks it, or a filter forbids it. */
bool kcmp_works(const struct proc *proc);

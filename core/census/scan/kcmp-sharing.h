/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which processes are one address space or one descriptor table, found out by kcmp(2).
 *
 * vfork(2) and clone(2) with CLONE_VM or CLONE_FILES make processes that share; sharing begins
 * only there and ends at the latest with execve(2). Two processes found distinct stay so as long
 * as they live, so that only new processes, and those known to share, are compared in later passes.
 * And who shares has the same program, stack and arguments at the same addresses, so that nobody
 * is compared but with forks of its own family.
 */
#pragma once

#include "procfs/proc.h"
#include "census/spaces.h"

/* How a back end that calls kcmp_sharing_resolve() keeps in the backend_data of its spaces. */
enum scan_data {
	SCAN_DATA_LAYOUT,   /* struct proc_stat's, from before the rows were read */
	SCAN_DATA_DISTINCT, /* kcmp-sharing.c's own */
};

/*
 * Marks those spaces whose rows another space counts. Appends to `stale` the pids of processes that
 * have loaded another program since their rows were read, which may be rows of what was shared
 * until then. Without a procfs whose pids are kcmp()'s, every process is taken for distinct.
 */
void kcmp_sharing_resolve(const struct proc *proc, struct spaces *spaces, unsigned facets,
	GArray *stale);

/*
 * How kcmp(2) orders the descriptor tables of two threads: -1, 0 (they are one), 1; or 2 when it
 * cannot tell, as when one of the two is gone.
 */
int kcmp_order_files(pid_t a, pid_t b);

/* False if kcmp(2) does not work here: the kernel lacks it, or a filter forbids it. */
bool kcmp_works(const struct proc *proc);

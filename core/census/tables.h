/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The descriptor tables of a process, for what looks for files that no pass of the census counts. */
#pragma once

#include "procfs/proc.h"

/*
 * Calls `visit` for each descriptor table of the process whose directory is `dir`, with the directory
 * of a thread that has it (/proc/PID/task/TID): threads that called unshare(CLONE_FILES) have one of
 * their own. Where kcmp(2) cannot tell them apart, only for that of the first thread, with `dir`. 0, a
 * negative errno from `visit` or from procfs, or -EAGAIN if a thread ended meanwhile, so that some
 * tables were left out.
 */
int process_each_table(const struct proc *proc, int dir, int (*visit)(int table, void *data),
	void *data);

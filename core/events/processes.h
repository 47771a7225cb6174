/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which process a number stands for, remembered for a moment: who makes one event soon makes the next,
 * and to ask procfs costs more than all the rest of an event.
 */
#pragma once

#include "procfs/process-facts.h"

struct event_processes;

/* `proc`: the path of the procfs that has these numbers; copied. */
struct event_processes *event_processes_new(const char *proc);
void event_processes_free(struct event_processes *processes);

/*
 * Fills in the process of that number, or of that thread, which the caller knows to exist still, or to
 * have existed a moment ago. `pidfd`: of it, which tells whether the number is still its own; or -1.
 * Of one that cannot be read any more `pid` alone is filled in. From any thread.
 */
void event_processes_find(struct event_processes *processes, pid_t pid, int pidfd,
	struct process_identity *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a caller and the daemon that answers it run on one processor or on two, which decides how long
 * a call takes: where the answer comes from another processor, a halted one has to be woken for it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define STATE_THREADS 64

struct daemon_state {
	pid_t pid; /* 0: no daemon */
	struct {
		pid_t tid;
		unsigned long long slices;
	} threads[STATE_THREADS];
};

/*
 * To be called before and after a batch of calls: of the daemon's threads the one that has had most time slices
 * since the last call has answered (/proc/PID/task/TID/schedstat). Returns whether the processor that it ran on
 * last (field 39 of its stat) is the one that the calling thread is on.
 */
bool state_is_together(struct daemon_state *state);

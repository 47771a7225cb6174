/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for a lock on a thread of its own, until it is there or the caller has given up. */
#pragma once

#include <stdbool.h>

#include <fuse_lowlevel.h>

/* Once, before any thread starts: prepares for INTERRUPT_SIGNAL (shutdown.h). */
void lock_wait_init(void);

/* Ends all waits, with -EINTR; false if some have not ended after a while. */
bool lock_wait_stop(void);

/*
 * Calls `lock(data, true)`, which blocks, and replies with its result; then `free(data)`. A signal
 * makes the call end with -EINTR, upon which it is repeated unless the caller's own wait has been
 * interrupted.
 */
void lock_wait(fuse_req_t req, int (*lock)(void *data, bool wait), void *data,
	void (*free)(void *data));

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BPF programs that are loaded when they are first wanted. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What is known of the programs. Zero: nothing yet. */
struct program_state {
	bool known;
	int result;
	int64_t again_at;
};

/*
 * Like program_load() (loading.h), but once: later calls return the same result. One that has to do with the moment, a
 * lack of memory or descriptors, decides nothing: after a second the next call tries again. -EPERM where loading is
 * known to be forbidden. The caller has a lock.
 */
int program_load_once(struct program_state *state, int (*load)(void *data),
	void (*undo)(void *data), void *data);

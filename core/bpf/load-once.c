/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bpf/load-once.h"

#include "base/util.h"
#include "bpf/loading.h"
#include "bpf/refusal.h"

#include <errno.h>
#include <glib.h>

/* Where there was a lack of memory or descriptors, it is not tried again before. */
#define AGAIN_US G_USEC_PER_SEC

int program_load_once(struct program_state *state, int (*load)(void *data),
	void (*undo)(void *data), void *data)
{
	if (!state->known && g_get_monotonic_time() >= state->again_at) {
		state->result = refusal_expected() ? -EPERM : program_load(load, undo, data);
		state->known = !is_shortage(state->result);
		state->again_at = g_get_monotonic_time() + AGAIN_US;
	}
	return state->result;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bpf/load-once.h"

#include "base/util.h"
#include "bpf/loading.h"
#include "bpf/refusal.h"

#include <errno.h>

int program_load_once(struct program_state *state, int (*load)(void *data),
	void (*undo)(void *data), void *data)
{
	if (!state->known) {
		state->result = refusal_expected() ? -EPERM : program_load(load, undo, data);
		state->known = !is_shortage(state->result);
	}
	return state->result;
}

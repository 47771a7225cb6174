/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bpf/load-once.h"

#include "bpf/loading.h"
#include "bpf/refusal.h"

#include <errno.h>

int program_load_once(struct attempt *attempt, int (*load)(void *data), void (*undo)(void *data),
	void *data)
{
	if (attempt_is_due(attempt))
		attempt_note(attempt, refusal_expected() ? -EPERM : program_load(load, undo, data));
	return attempt_result(attempt);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BPF programs that are loaded when they are first wanted. */
#pragma once

#include "base/attempt.h"

/*
 * Calls program_load() (loading.h) if that is due, and returns what the last such call returned; -EPERM where loading is
 * known to be forbidden. The caller has a lock.
 */
int program_load_once(struct attempt *attempt, int (*load)(void *data), void (*undo)(void *data),
	void *data);

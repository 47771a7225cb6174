/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is found out once, when it is first wanted, and then holds: whether something works here. A lack of memory or
 * descriptors at that moment (is_shortage()) decides nothing: it is tried again, but not more often than once a second.
 *
 *	if (attempt_is_due(&attempt))
 *		attempt_note(&attempt, open_it(...));
 *
 * Those two calls take a lock of the caller's; the others do not.
 */
#pragma once

#include "base/util.h"

#include <glib.h>
#include <stdbool.h>

/* Zero: not tried yet. */
struct attempt {
	gint decided, result; /* atomic */
	gint64 again_at;
};

static inline bool attempt_is_decided(struct attempt *attempt)
{
	return g_atomic_int_get(&attempt->decided);
}

/* 0 also before the first try; else what the last one met. */
static inline int attempt_result(struct attempt *attempt)
{
	return g_atomic_int_get(&attempt->result);
}

static inline bool attempt_is_due(const struct attempt *attempt)
{
	return !attempt->decided && g_get_monotonic_time() >= attempt->again_at;
}

/* `result`: 0 or a negative errno. What else the try found must be in its place by now. */
static inline void attempt_note(struct attempt *attempt, int result)
{
	attempt->again_at = g_get_monotonic_time() + G_USEC_PER_SEC;
	g_atomic_int_set(&attempt->result, result);
	g_atomic_int_set(&attempt->decided, !is_shortage(result));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as text, for one reader: whose process each is decided here. */
#pragma once

#include "caller/caller.h"
#include "events/ring.h"

#include <glib.h>

/*
 * Appends the events from the cursor on, as JSON, until there are `enough` bytes or no more events; none from the
 * number `until` on (UINT64_MAX: however many).
 * An event's process is shown to a caller that could see it in /proc: now, or if it is gone, when it
 * was alive, as far as its user tells. Returns whether anything was appended.
 */
bool event_rows_append(struct event_ring *ring, struct event_cursor *cursor, uint64_t until,
	const struct caller *caller, size_t enough, GString *out);

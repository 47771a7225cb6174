/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last events, in a fixed amount of memory, for any number of readers.
 *
 * Each reader has a place of its own (a cursor), which is a value in the reader's memory: the ring
 * does not know its readers, and the oldest events make room for new ones whether they were read or
 * not. A reader whose next event is gone gets an EVENT_LOST in its place, which says how many are.
 *
 * All functions may be called from any thread; none waits but for the ring's own lock.
 */
#pragma once

#include "events/event.h"

struct event_ring;

/* `bytes`: of all records together; an event takes some 60 and its strings. */
struct event_ring *event_ring_new(size_t bytes);
void event_ring_free(struct event_ring *ring);

/* Forgets all events; a reader that has not read them is told that they are lost. */
void event_ring_clear(struct event_ring *ring);

/* Adds an event, whose strings are copied but for `kind`. */
void event_ring_append(struct event_ring *ring, const struct event *event);

/* The place of one reader: the number of the next event, and where it is. */
struct event_cursor {
	uint64_t number, at;
};

/* After the last event; and before the last `n` of them, or before all that there are. */
struct event_cursor event_ring_end(struct event_ring *ring);
struct event_cursor event_ring_back(struct event_ring *ring, uint64_t n);

/* An event with the memory of its strings. Not to be copied. */
struct event_copy {
	struct event event;
	char id[NAME_MAX + 1], name[NAME_MAX + 1], from[NAME_MAX + 1];
};

/* Fills in the next event and moves on; false if there is none yet. */
bool event_ring_next(struct event_ring *ring, struct event_cursor *cursor, struct event_copy *out);

/* Whether event_ring_next() would have one. */
bool event_ring_has_next(struct event_ring *ring, const struct event_cursor *cursor);

/* How many bytes have been added in all, which only grows. */
uint64_t event_ring_total(struct event_ring *ring);

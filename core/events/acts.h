/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon does to objects for others. fanotify says of it that the daemon did it, in the right
 * order with what all other processes did; the acts say for whom.
 *
 * A thread announces what it is about to do, and says afterwards whether it was done. The thread that
 * reads fanotify's records looks for the act that one of the daemon's own stands for, and waits for
 * it to end where it has not: a system call, no more.
 */
#pragma once

#include "events/event.h"

struct event_act;
struct event_acts;

struct event_acts *event_acts_new(void);
void event_acts_free(struct event_acts *acts);

/* Forgets those that have ended. */
void event_acts_clear(struct event_acts *acts);

/*
 * Announces something that is told by events of the types in the set (bits 1 << EVENT_...), about the
 * object of that name, or of that inode number (0: not known yet). `by_child`: not this process does
 * it, but a child.
 */
struct event_act *event_act_begin(struct event_acts *acts, unsigned types, const char *name,
	uint64_t inode, bool by_child, const struct process_identity *process);

/* It is done, to that inode (0: as it was announced); or it was not. The act is not the caller's any more. */
void event_act_end(struct event_acts *acts, struct event_act *act, bool done, uint64_t inode);

/*
 * Calls `visit` with the process of each act that stands for an event of this type about the object,
 * and forgets it: one record may stand for several acts. Returns how many there were.
 */
unsigned event_acts_take(struct event_acts *acts, enum event_type type, const char *name,
	uint64_t inode, void (*visit)(const struct process_identity *process, void *data),
	void *data);

/* Whether a child does something, or has just done, to the object. */
bool event_acts_by_child(struct event_acts *acts, uint64_t inode);

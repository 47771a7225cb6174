/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that run what may have to wait, in turn by user.
 *
 * Each job is in a queue, usually that of its user. A queue has a few threads at most, and never more
 * than are still free for all others together, so that a user who comes later finds one; the jobs
 * beyond that wait, and the queues take turns. So a user whose jobs wait for ever, or of which there
 * are thousands, holds up no jobs but their own.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct workers;

/*
 * What a job is in turn by: its user, and three queues for each. A request during which the kernel may
 * have a directory locked for all users does not wait behind those of its user during which not. What
 * takes long because much is to be listed does not hold up the rest, and few of these run at a time:
 * the counts of all other users wait for the census that they hold.
 */
enum turn_class { TURN_FILES, TURN_NAMES, TURN_LISTINGS, TURN_CLASSES };

static inline uint64_t turn_of(uid_t uid, enum turn_class class)
{
	return (uint64_t)uid * TURN_CLASSES + class;
}

/* The daemon's own work. */
#define TURN_OWN UINT64_MAX

/* What is listed for several users at once; no user has that number. */
#define TURN_SHARED turn_of((uid_t)-1, TURN_LISTINGS)

/* `stay`: no thread ever ends. */
struct workers *workers_new(bool stay);

/* Has a thread call run(data), which owns the data. */
void workers_push(struct workers *workers, uint64_t turn, void (*run)(void *data), void *data);

/* The turn of the job that the calling thread runs, or 0 and false. */
bool workers_current(uint64_t *out);

/*
 * Takes back the first job of this function whose data match(data, wanted): its data, or NULL. It
 * does not run any more.
 */
void *workers_withdraw(struct workers *workers, void (*run)(void *data),
	bool (*match)(const void *data, const void *wanted), const void *wanted);

/* Jobs that wait or run. */
unsigned workers_pending(struct workers *workers);

/* Only while no job waits or runs. Waits for the threads to end. */
void workers_free(struct workers *workers);

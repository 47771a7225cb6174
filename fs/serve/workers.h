/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker threads: they run jobs that may have to wait, and the users take turns.
 *
 * Each job is in a queue, usually that of its user. A queue gets a few threads at most, and never
 * more than are then still free for all other queues, so that a user who comes later finds one.
 * Further jobs wait, and the queues take turns. So a user whose jobs wait for ever, or who has
 * thousands of them, delays only their own jobs.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct workers;

/*
 * A turn is the number of a queue; each user has three. Requests during which the kernel may have a
 * directory locked, for all users, do not wait behind the other requests of their user. Requests
 * that take long because much is to be listed do not delay the rest either, and few of them run at
 * a time: the counts of all other users wait for the census that they hold.
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

struct workers *workers_new(void);

/* Has a worker call run(data), which takes over the data. */
void workers_push(struct workers *workers, uint64_t turn, void (*run)(void *data), void *data);

/* Tells the turn of the job that the calling thread runs; false and 0 if it is no worker. */
bool workers_current(uint64_t *out);

/*
 * Removes the first waiting job with this run() for whose data match(data, wanted) is true, and
 * returns its data, which the caller owns then; NULL if there is none.
 */
void *workers_withdraw(struct workers *workers, void (*run)(void *data),
	bool (*match)(const void *data, const void *wanted), const void *wanted);

/* Jobs that wait or run. */
unsigned workers_pending(struct workers *workers);

/* To be called only while no job waits or runs. Waits for the threads to end. */
void workers_free(struct workers *workers);

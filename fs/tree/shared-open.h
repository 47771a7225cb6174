/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening of files that say the same to all users: one listing is made for all who wait for it, and
 * it is begun after the last of them has asked. So of a file that many processes read over and over
 * one listing is made at a time, whoever they are; of different files, two.
 *
 * No thread waits for a listing: requests that arrive while one is made are kept, and the job that
 * makes the next one answers them all: the users in turn, and a few at a time, so that the
 * processes that it wakes do not take all processors and fill the queue of requests at once. The
 * next listing of the file is begun after some 20 ms of that at most.
 */
#pragma once

#include "serve/defer.h"

struct shared_opens;

struct shared_opens *shared_opens_new(void);

/* Only while no job waits or runs (defer_stop()). */
void shared_opens_free(struct shared_opens *opens);

/* Answers the request later. The node is a file that is the same for all. */
void shared_open(struct fs *fs, const struct deferred *d);

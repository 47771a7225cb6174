/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening of files that say the same to all users: one listing is made for all who wait for it, and
 * it is begun after the last of them has asked. So of a file that many processes read over and over
 * no more than two listings are made at once (TURN_SHARED), whoever they are.
 *
 * No thread waits: requests that arrive while a listing is made are kept, and the job that makes
 * the next one answers them all.
 */
#pragma once

#include "serve/defer.h"

struct shared_opens;

struct shared_opens *shared_opens_new(void);

/* Only while no job waits or runs (defer_stop()). */
void shared_opens_free(struct shared_opens *opens);

/* Answers the request later. The node is a file that is the same for all. */
void shared_open(struct fs *fs, const struct deferred *d);

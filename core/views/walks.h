/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events that no kernel interface tells as they happen: a thread lists all segments now and then,
 * while events are used, and tells what is different from the last time.
 *
 * Of segments other than POSIX objects it tells what is created, resized and removed; of all of them
 * when the first mapping has come, the last one has gone, and when nothing has them any more. What
 * came and went between two walks is not told. Where fanotify is not to be had, POSIX objects are
 * treated as the others.
 */
#pragma once

#include "events/events.h"
#include "kinds/realm.h"

struct walks;

/* `realm` and `events` live longer. The thread is started when it is needed. */
struct walks *walks_new(const struct realm *realm, struct events *events);

/* Ends the thread: false if it has not ended after a while. */
bool walks_stop(struct walks *walks);

/* After walks_stop() has said true. */
void walks_free(struct walks *walks);

/*
 * To be called after events_use(). walks_wait() returns when it is known what there is now, which may
 * take a pass of the census: what comes later will be told.
 */
void walks_begin(struct walks *walks);
void walks_wait(struct walks *walks);

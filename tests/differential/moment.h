/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times are compared by the step that set them. Before each step the clock is made to tick, so that
 * every stamp of a step is later than all stamps before; a stamp then tells its step, on both
 * sides, although the sides make their calls one after the other. A stamp that lies elsewhere was
 * set by hand and has to be equal to the nanosecond.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Forgets all steps and begins with step 0, in which the directories are made ready. */
void moments_begin(void);

/* Begins the next step. */
void moments_tick(void);

/* A number that is equal on both sides when the times correspond. */
int64_t moment_key(const struct statx_timestamp *);

/* The time in words: "step 3", "before", or the time itself. */
void moment_describe(const struct statx_timestamp *, char *buf, size_t size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the census remembers of passes that are over: who used a segment last, and since when nothing
 * has used it.
 *
 * A segment that nothing uses costs no memory here. Only where something was seen to use one, and
 * then not any more, is that kept; and the times of the passes. From both follows since when it is
 * known to be idle: since the first pass that came after its last known use, and after its own times
 * of change. Both are bounded. What is forgotten makes an answer later, never earlier.
 *
 * Between two passes the census sees nothing: a use that begins and ends there, and leaves no trace in
 * the segment's own times, is not known.
 *
 * Threads: any.
 */
#pragma once

#include "census/counts/segment.h"

#include <stdbool.h>
#include <sys/types.h>

/* Nanoseconds since 1970 (CLOCK_REALTIME), here and below. 0: never. */
typedef int64_t past_time;
past_time past_now(void);

/* A process that used a segment. */
struct past_user {
	pid_t pid;
	uint64_t born; /* clock ticks after boot, as in /proc/PID/stat; 0: not known */
	uid_t uid;     /* effective */
	bool readable; /* its user could read its memory (it was dumpable) */
	char command[16];
	GRefString *unit; /* NULL: none */
};

struct past;

/* How many segments are remembered, and times of passes. */
#define PAST_SEGMENTS 16384
#define PAST_PASSES 4096

struct past *past_new(void);
void past_free(struct past *past);

/* A pass that looked at everything ended. */
void past_note_pass(struct past *past, past_time when);

/* Something used the segment at that time, whatever it was. */
void past_note_use(struct past *past, const struct segment_key *key, past_time when);

/*
 * A process was seen to use the segment, for the last time at `when`, and by the pass that ends now
 * no process is. `user` is copied. `counts`: as past_note_use(); false where the kernel tells that
 * time better.
 */
void past_note_user(struct past *past, const struct segment_key *key, const struct past_user *user,
	past_time when, bool counts);

/* What was known has got lost: from now on nothing is known to be idle since before `when`. */
void past_forget(struct past *past, past_time when);

/*
 * Since when the segment, which is idle now, is known to be: the end of the first pass after `after`
 * (its own last change) and its last known use. If there was none yet, the later of these two, which
 * `passed` says (NULL: nobody asks). `exact`: the kernel tells by `after` when the last use ended, but
 * for the uses that were noted here.
 */
past_time past_idle_since(struct past *past, const struct segment_key *key, past_time after,
	bool exact, bool *passed);

/*
 * The same of what passes do not look at: it was found idle now, and is known to be since the first
 * call that told so after `after` and the last known use.
 */
past_time past_found_idle(struct past *past, const struct segment_key *key, past_time after,
	past_time now);

/* False if none is known. `out->unit` is a reference of the caller's (g_ref_string_release). */
bool past_last_user(struct past *past, const struct segment_key *key, struct past_user *out,
	past_time *when);

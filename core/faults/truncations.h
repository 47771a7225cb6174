/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who made a segment shorter: the last truncations of each segment that the daemon knows of. It knows
 * of those through the mount, and of others while events are watched.
 *
 * What is noted is kept for the segments that were truncated most recently, some thousand.
 *
 * Threads: any.
 */
#pragma once

#include "census/counts/segment.h"
#include "events/sizes.h"
#include "procfs/cgroup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct truncation {
	bool through_mount;
	int64_t after, time; /* it happened between these: CLOCK_REALTIME, ns */
	uint64_t from, to;   /* bytes */
	pid_t pid; /* as the daemon's procfs knows it: the process, or a thread of it; 0: unknown */
	uid_t uid; /* that it acted as; NO_UID: unknown */
	/* The rest is asked of procfs at that time. */
	bool identified;  /* it was told; then `pid` is the process's */
	char command[16]; /* empty: unknown */
	uint64_t born;    /* clock ticks after boot */
	char unit[CGROUP_UNIT_MAX];
	bool readable; /* its user may read its memory; false: not, or it is not known */
};

#define NO_UID ((uid_t)-1)

struct truncations;

/* `proc`: the path of the procfs that has the numbers of those who truncate; copied. */
struct truncations *truncations_new(const char *proc);
void truncations_free(struct truncations *truncations);

/* The time of day, as it stands in a truncation. */
int64_t truncations_now(void);

/*
 * Notes a truncation through the mount. Of it `after`, `from`, `to`, `pid` and `uid` are used: it was
 * made just now. The process is looked for at once, or was a moment ago (events/processes.h), and may have executed
 * another program since: it must be one that waits for the caller, so that its number cannot become another one's.
 */
void truncations_note(struct truncations *truncations, const struct segment_key *key,
	const struct truncation *made);

/* Notes one that was made otherwise, or that nothing is known of such ones any more. */
void truncations_note_outside(struct truncations *truncations, const struct segment_key *key,
	const struct shrink *made);

/*
 * Returns a descriptor that can be read from once another one was noted, until truncations_seen(); it
 * stays theirs. -1: there is none.
 */
int truncations_fd(const struct truncations *truncations);

/* To be called before it is looked for what was noted. */
void truncations_seen(struct truncations *truncations);

/* A bus error beyond the end of a segment. */
struct beyond_end {
	int64_t time;          /* CLOCK_REALTIME, ns */
	uint64_t offset, size; /* bytes: where it was, and the segment's size then */
};

/*
 * Finds the last known truncation of a segment before the bus error, if that took away the page at the
 * offset, and the segment is not shorter than it left it: then another one came after it. Its time is
 * not after that of the bus error.
 */
bool truncations_last(struct truncations *truncations, const struct segment_key *key,
	const struct beyond_end *at, struct truncation *out);

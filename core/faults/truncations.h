/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who made a segment shorter: the last truncation of each segment that the daemon knows of. It knows
 * of those through the mount; whatever else learns of one notes it here too.
 *
 * What is noted is kept for the segments that were truncated most recently, some thousand.
 *
 * Threads: any.
 */
#pragma once

#include "census/counts/segment.h"
#include "procfs/cgroup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct truncation {
	struct timespec time; /* CLOCK_REALTIME */
	uint64_t from, to;    /* bytes */
	pid_t pid; /* as the daemon's procfs knows it: the process, or a thread of it; 0: unknown */
	uid_t uid; /* that it acted as */
	/* The rest is asked of procfs at that time. */
	bool identified;  /* it was told; then `pid` is the process's */
	char command[16]; /* empty: unknown */
	uint64_t born;    /* clock ticks after boot */
	char unit[CGROUP_UNIT_MAX];
	bool readable; /* its user may read its memory; false: not, or it is not known */
};

struct truncations;

struct truncations *truncations_new(void);
void truncations_free(struct truncations *truncations);

/*
 * Notes a truncation. Of it `from`, `to`, `pid` and `uid` are used: it was made just now. The process
 * is asked for in that procfs: it must be one that waits for the caller, so that its number cannot
 * become another one's meanwhile.
 */
void truncations_note(struct truncations *truncations, const char *proc,
	const struct segment_key *key, const struct truncation *made);

/*
 * Finds the last known truncation of a segment, if that took away the page at `offset`, and the
 * segment, of `size` bytes now, is not shorter than it left it: then another one came after it.
 */
bool truncations_last(struct truncations *truncations, const struct segment_key *key,
	uint64_t offset, uint64_t size, struct truncation *out);

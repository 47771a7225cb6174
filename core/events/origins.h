/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who gave an object its first name, and who took away its last one: for the last few thousand objects to
 * which that happened.
 *
 * That an object was created while records of fanotify came shows in its time of birth, which also tells it
 * from an older object of the same number, and its first name from a further one. Whether a name was the last
 * one is looked at when its record is handled.
 *
 * Records come in the order in which things happened, but for what the kernel has merged: what a process
 * did again is in the record of its first time. So where two processes named an object, or took a name from it,
 * and the kernel had more records all the while, it is not known which was the first, or the last. And until the
 * records are handled that the kernel had when the daemon looked, another process may have been the last.
 *
 * Threads: one tells; any asks.
 */
#pragma once

#include "procfs/process-facts.h"

#include <stdbool.h>
#include <stdint.h>

/* Times are those of CLOCK_REALTIME, ns: when the daemon learnt of it. */
struct deed {
	bool known;
	int64_t time;
	struct process_identity process; /* of pid 0: it is not known who */
};

struct origin {
	struct deed created, removed;
};

struct origins;

struct origins *origins_new(void);
void origins_free(struct origins *origins);

/*
 * From now on all records come; what was told before means nothing. Of objects born until the kernel's coarse
 * clock (CLOCK_REALTIME_COARSE) has passed `now`, it is not known who created them: so may older ones be dated.
 */
void origins_begin(struct origins *origins, int64_t now);

/* No record comes any more. */
void origins_end(struct origins *origins);

/* The object has got a name. */
void origins_named(struct origins *origins, uint64_t inode, const struct deed *deed);

/* What is left of an object that has lost a name, as far as one has looked. */
enum left { LEFT_UNKNOWN, LEFT_NAMES, LEFT_NAMELESS, LEFT_NOTHING };

void origins_unnamed(struct origins *origins, uint64_t inode, const struct deed *deed,
	enum left left);

/* Something got a name that any object may have had before. */
void origins_blur(struct origins *origins);

/* All records are handled that the kernel had at that time, monotonic, in us. */
void origins_drained(struct origins *origins, int64_t when);

/* Whether there is what will be known for certain only after that. */
bool origins_unsettled(struct origins *origins);

/*
 * What is known of an object. `born`: its time of birth, 0 if it has none; `nameless`: it has no name
 * now. A deed that is not known, or not for certain, has `known` false.
 */
void origins_find(struct origins *origins, uint64_t inode, int64_t born, bool nameless,
	struct origin *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pair of processes with rights, namespaces and users of their own, about which a test asks. */
#pragma once

#include "caller/caller.h"

#include "somebody.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ALL_CAPABILITIES UINT64_MAX

/* What a process makes of itself, in this order. */
struct state {
	uid_t uid;             /* 0: as this process */
	int namespaces;        /* CLONE_NEW... */
	uint64_t capabilities; /* of those that it has then */
	bool closed;           /* not dumpable */
	bool no_new_privs;
};

/* As the one that started it. */
extern const struct state pair_same;

/* A process and the one that it started, which is in its namespaces. */
struct pair {
	pid_t first, second;
	int keep; /* both end when it is closed */
};

/* False, and the test is skipped, where such processes cannot be made. */
bool pair_start(const struct state *first, const struct state *second, struct pair *out);

/* Ends both, and checks that nothing went wrong in them. */
void pair_end(const struct pair *pair);

/* The caller that this process is, with the user's number for its group too. */
struct caller caller_of(pid_t pid, uid_t uid);

/* When that process began, as procfs tells it. */
uint64_t birth_of(pid_t pid);

/* The number of a process that has ended. */
pid_t number_of_nobody(void);

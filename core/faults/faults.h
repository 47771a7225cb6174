/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus errors of the machine: each SIGBUS that a mapping of a segment raised, and why. A signal
 * that a process sent, one for an address that is not aligned, or one for a file on a disk is none.
 *
 * BPF programs record them as they happen; a thread that otherwise sleeps keeps the last FAULTS_KEPT. If
 * there are more, the user with most of them loses an old one, so that nobody pushes away what
 * others have.
 *
 * Threads: any.
 */
#pragma once

#include "census/census.h"
#include "faults/records.h"
#include "faults/truncations.h"
#include "procfs/cgroup.h"

#include <glib.h>
#include <stdbool.h>
#include <time.h>

#define FAULTS_KEPT 1000

/* One bus error. It does not change. */
struct fault {
	struct seen_fault seen;
	uint64_t dev;         /* st_dev of the segment's file system */
	struct timespec time; /* CLOCK_REALTIME */
	bool is_object;       /* `key` counts; false: a file of another tmpfs or hugetlbfs */
	struct segment_key key;
	char unit[CGROUP_UNIT_MAX]; /* "-": none, or it was gone */
	bool cut;                   /* it is known who truncated the segment: */
	struct truncation by;
};

struct faults;

struct faults_config {
	struct census *census; /* which segment a file is; like the next it outlives them */
	struct truncations *truncations; /* who truncated one */
	uint32_t ipc_ns;                 /* the daemon's own IPC namespace */
	const char *why_not; /* a reason not to look for bus errors (a static string); or NULL */
	/* There was one: called by any thread, with a lock held, so that it calls nothing here. */
	void (*tell)(const struct fault *fault, void *data);
	void *data;
};

/* Begins to load the programs, in a thread of their own. Never NULL. */
struct faults *faults_new(const struct faults_config *config);
void faults_free(struct faults *faults);

/*
 * Waits until the programs see bus errors, or it is known that they do not. Returns why not, in one
 * line; NULL: they do.
 */
const char *faults_why_not(struct faults *faults);

/* Tells the st_dev of the mount, whose files stand for segments. */
void faults_set_mount(struct faults *faults, uint64_t dev);

/*
 * Returns those kept, all that happened before the call included, the oldest first: of const struct
 * fault *. The caller ends it with g_ptr_array_unref().
 */
GPtrArray *faults_take(struct faults *faults);

/* Returns how many there were since the programs were loaded; waits for that. */
struct fault_counts faults_counts(struct faults *faults);

/* "truncated", "no space", "no huge page", "memory cgroup", "other". */
const char *fault_cause_name(enum fault_cause cause);

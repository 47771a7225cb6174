/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The census: who maps and who holds each segment, over all address spaces that procfs shows.
 *
 * One pass answers for all segments. A caller that needs the counts calls census_hold(), which
 * returns only after a pass that *began* after the call has ended; callers that arrive together
 * share one. Between census_hold() and census_release() the counts stand still, and describe the
 * machine at an instant after census_hold() was entered.
 *
 * What procfs does not show, no census of it counts: a descriptor on its way through a socket or
 * registered with io_uring, memory pinned by a device. And a System V segment is taken to be of the
 * IPC namespace that its process is in, which one that has moved since may no longer be.
 *
 * Errors are data: a process that could not be read makes the census incomplete, never wrong.
 *
 * Threads: every function may be called from any thread, but census_hold() not from one that serves
 * requests of the mount: a pass may wait for a process that waits for the mount.
 */
#pragma once

#include "census/segment.h"
#include "census/usage.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct census;

enum census_backend_choice {
	CENSUS_AUTO, /* the best that works here */
	CENSUS_BPF,
	CENSUS_QUERY, /* PROCMAP_QUERY, Linux 6.11 */
	CENSUS_TEXT,
};

struct census_config {
	const char *proc; /* the procfs to read, usually "/proc" */
	enum census_backend_choice backend;
	uint64_t shm_dev; /* st_dev of the tmpfs that holds the POSIX objects */
	pid_t self;       /* the daemon, left out of every count; 0: nobody */
	/* NULL, or where census_new() writes what keeps the chosen back end from working: one line,
	   a static string; NULL if it is not the back end that failed. */
	const char **why;
};

/* "auto", "bpf", "query" or "text", as the option and `status` have it. */
const char *census_choice_name(enum census_backend_choice choice);

enum segment_state { STATE_MAPPED, STATE_OPEN, STATE_IDLE, STATE_UNKNOWN };

/* A mapping as a row of `mappers`. Strings belong to the census, valid while it is held. */
struct mapping_row {
	pid_t pid;
	pid_t task;          /* a thread of it whose /proc entries work */
	uid_t uid;           /* effective, as ps(1) shows */
	const char *command; /* /proc/PID/comm, unescaped */
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* bytes into the segment */
	char perms[5];       /* "rw-s", as /proc/PID/maps */
};

struct descriptor_row {
	pid_t pid, task;
	uid_t uid;
	const char *command;
	int fd;
	int flags; /* O_ACCMODE bits (O_PATH as well) of its open file description */
};

/* How the last pass went, and what the census cannot see. */
struct census_report {
	const char *backend;        /* "bpf", "query", "text"; "auto" before the first pass */
	const char *why_not_better; /* one line, or NULL */
	uint64_t passes;
	uint64_t last_pass_ns;  /* duration of the last one */
	int64_t last_pass_time; /* CLOCK_REALTIME, seconds */
	uint64_t spaces;        /* address spaces seen by it */
	uint64_t reread;        /* of these, read anew in it */
	uint64_t unreadable;    /* processes that could not be read */
	uint64_t inconsistent;  /* address spaces that changed, or (query, text) may have, all the
				      while: what is said of each was true at an instant of the
				      pass, but not at one for all; for query and text it may lack
				      a mapping that was moved, or have it twice */
	const char *
		incomplete_view; /* why whole processes may be invisible (pid namespace, hidepid), or NULL */
};

/* `out` is owned by the caller, who ends it with census_free(). -EINVAL etc. as open(2) of proc. */
int census_new(const struct census_config *config, struct census **out);
void census_free(struct census *census);

/*
 * The mount's device number, once it is known (from mountinfo: stat(2) of the mount point would ask
 * the daemon itself). What is mapped or opened through the mount counts as the segment's, which is
 * known by the inode number that the mount reports for it: a file of the tmpfs has its own; all
 * others have one with a mark in the top four bits, which no tmpfs inode number reaches.
 */
void census_set_mount(struct census *census, uint64_t dev);
uint64_t census_mount_ino(struct census *census, const struct segment_key *key);

/*
 * Another tmpfs whose files are POSIX objects (the /dev/shm of another mount namespace): the next
 * pass sees them.
 */
void census_add_device(struct census *census, uint64_t dev);

/* The kernel's own device, of which memfds, anonymous and System V segments are. */
uint64_t census_internal_device(struct census *census);

/*
 * Does, before anybody asks, what the first question would wait for: opens the back end, and lets one
 * that remembers what it has read read everything.
 */
void census_prepare(struct census *census);

/* 0, or a negative errno when procfs itself cannot be read; then nothing is held. */
int census_hold(struct census *census, unsigned facets);

/*
 * census_hold() for a thread that serves the mount: true, and held, if that took no waiting for
 * anybody, because nothing has changed since the last pass. False: nothing is held.
 */
bool census_hold_at_once(struct census *census, unsigned facets);
void census_release(struct census *census);

/* The rest only while held. */

/* All zero for a segment that nobody uses. */
struct usage census_usage(struct census *census, const struct segment_key *key);

/* `idle` only where every process could be read, `unknown` otherwise. Needs both facets. */
enum segment_state census_state(struct census *census, const struct usage *usage);
const char *segment_state_name(enum segment_state state);

void census_each_segment(struct census *census,
	void (*visit)(const struct segment_key *key, const struct usage *usage, void *data),
	void *data);
void census_each_mapping(struct census *census, const struct segment_key *key,
	void (*visit)(const struct mapping_row *row, void *data), void *data);
void census_each_descriptor(struct census *census, const struct segment_key *key,
	void (*visit)(const struct descriptor_row *row, void *data), void *data);

/*
 * The last name that the kernel showed for the file behind the segment: without directories and
 * without " (deleted)"; "memfd:x", "SYSV0052e2c1", "dev/zero" for those that have no path. NULL if
 * unknown. The string is the census's, valid while it is held.
 */
const char *census_name(struct census *census, const struct segment_key *key);

/*
 * A process that uses a segment, as a way to the file behind it: by a mapping,
 * PROC/task/map_files/START-END, or if there is none by a descriptor, PROC/task/fd/FD. The caller
 * compares device and inode number of what that opens: the process may have moved on. Returns false
 * if no process maps or (as far as was looked at) holds the segment.
 */
struct segment_user {
	pid_t task;          /* a thread id that /proc knows, even where the first thread is dead */
	uint64_t start, end; /* of the mapping; both 0: use fd */
	int fd;
};
bool census_segment_user(struct census *census, const struct segment_key *key,
	struct segment_user *out);

/* A copy; its strings are static or live as long as the census. Held or not. */
struct census_report census_report(struct census *census);

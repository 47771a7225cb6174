/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the table of address spaces: which segments each maps and holds, and the sums over all.
 *
 * A space is one process, known by its pid and start time, with the rows of its address space and
 * of its descriptor table. The sums of each segment are kept as the rows change: setting a space's
 * rows takes the old ones out of the sums and puts the new ones in, and rows that did not change
 * cost one memcmp(). So the time of a pass grows with what has changed, and that of a question with
 * what it asks.
 *
 * A pass, by a back end:
 *
 *	spaces_begin()
 *	for each process:
 *		space = spaces_see(pid, start time)         it lives; its rows are as they were
 *		space_describe(space, uid, command)         where these may have changed
 *		space_set_mappings(space, rows, n)          only if read anew
 *		space_set_descriptors(space, rows, n)       likewise
 *		space_share_...(space, true or false)       the same mm or table as another space's
 *	spaces_end()                                        drops every space that was not seen
 *
 * The rows point to interned segments, which spaces_segment() returns at any moment between
 * spaces_begin() and spaces_end(). spaces_end() frees a segment to which no row points.
 *
 * Threads: during a pass nothing else uses the table; between passes any number of threads may read
 * it.
 */
#pragma once

#include "census/counts/past.h"
#include "census/counts/packed-mappings.h"
#include "census/counts/segment.h"
#include "census/counts/usage.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A segment that some space uses. */
struct segment {
	struct segment_key key;
	struct usage usage;
	/* private to the files of spaces-private.h */
	uint64_t rows;         /* that point to it, counted in `usage` or not */
	bool used;             /* a row has pointed to it */
	struct past_user last; /* the user whose row was removed last; it owns `unit` */
	bool last_mapped;      /* that row was a mapping */
	uint64_t counting;     /* the last set of rows in which it was met */
	size_t index_end[2];   /* of its part of the index, for mappings and for descriptors */
	bool unreferenced;     /* on the list of those to drop */
};

/* Rows are compared as bytes: no padding, and every byte set. */
struct descriptor {
	struct segment *segment;
	int32_t fd;
	int32_t flags; /* O_ACCMODE and O_PATH */
	uint64_t file; /* as in a mapping */
};

struct space {
	pid_t pid;
	/* After boot: in clock ticks, or ns where the back end has these; one unit for all of a table. */
	uint64_t start_time;
	uid_t uid;        /* effective */
	char command[16]; /* TASK_COMM_LEN */
	pid_t task;       /* a thread whose /proc entries work: not the leader once that is dead */
	uint64_t backend_data[5]; /* the back end's own; zero in a new space */
	/* Set for a process with rows, once remember.c has asked procfs. */
	bool asked, readable;
	uid_t asked_uid;  /* `uid` by then: `readable` is true of that one alone */
	uint64_t born;    /* clock ticks after boot; 0: not known */
	GRefString *unit; /* owned; NULL: none */

	struct packed_mappings mappings;
	size_t n_mappings;
	struct descriptor *descriptors;
	size_t n_descriptors;
	/* The rows are another space's too, and counted there. */
	bool shares_mappings, shares_descriptors;
	/*
	 * A daemon that serves segments by a mount: the mount's users count, not the daemon's
	 * descriptors.
	 */
	bool serves;
	/* private to the files of spaces-private.h */
	uint64_t seen; /* the last pass that saw it */
};

struct spaces;

struct spaces *spaces_new(void);
void spaces_free(struct spaces *spaces);

void spaces_begin(struct spaces *spaces);
void spaces_end(struct spaces *spaces);

/*
 * A process of which the pass under way could not read all, and the reason in one line (a static or
 * interned string). Between passes they are in ascending order of pid.
 */
struct unreadable {
	pid_t pid;
	const char *why;
};
void spaces_note_unreadable(struct spaces *spaces, pid_t pid, const char *why);
void spaces_forget_unreadable(struct spaces *spaces); /* what was noted so far in this pass */
const GArray *spaces_unreadable(const struct spaces *spaces);

/* Finds or makes the segment of that key, for the rows of this pass. */
struct segment *spaces_segment(struct spaces *spaces, const struct segment_key *key);

/*
 * Returns the space of that process, marked as seen in this pass; a new one has no rows. A pid with
 * another start time is another process: the rows of the old one are dropped.
 */
struct space *spaces_see(struct spaces *spaces, pid_t pid, uint64_t start_time);

/*
 * For a back end that knows what has changed. At the beginning of a pass spaces_see_all() marks all
 * spaces in the table as seen, with their rows as they were; space_unsee() unmarks one, so that
 * spaces_end() drops it.
 */
void spaces_see_all(struct spaces *spaces);
void space_unsee(struct space *space);

/* As spaces_see(), but NULL for a process that is not in the table; marks nothing. */
struct space *spaces_lookup(struct spaces *spaces, pid_t pid);

void space_describe(struct space *space, uid_t uid, const char *command);

/* Set the rows of a space, which are copied. Return whether they differ from those before. */
bool space_set_mappings(struct spaces *spaces, struct space *space, const struct mapping *rows,
	size_t n);
bool space_set_descriptors(struct spaces *spaces, struct space *space,
	const struct descriptor *rows, size_t n);

/*
 * Calls `visit` for each segment that has lost its last row since the last call: with the user
 * whose row was removed last, and whether that was a mapping. Between passes, by one thread.
 */
void spaces_take_gone(struct spaces *spaces,
	void (*visit)(const struct segment_key *key, const struct past_user *user, bool mapped,
		void *data),
	void *data);

/*
 * Say whether the space's address space (descriptor table) is also another one's, which counts it
 * (vfork, CLONE_VM; CLONE_FILES). A new space shares nothing.
 */
void space_share_mappings(struct spaces *spaces, struct space *space, bool shares);
void space_share_descriptors(struct spaces *spaces, struct space *space, bool shares);

/*
 * space_serve() sets `serves`, and takes the space's descriptors out of the sums.
 * spaces_serve_none() undoes that for all spaces.
 */
void space_serve(struct spaces *spaces, struct space *space);
void spaces_serve_none(struct spaces *spaces);

/* The functions below only read. */

/*
 * Calls `visit` for all spaces; during a pass for those that it has seen so far. `visit` may set
 * rows, but not call spaces_see().
 */
void spaces_each(struct spaces *spaces, void (*visit)(struct space *space, void *data), void *data);

void spaces_each_server(const struct spaces *spaces,
	void (*visit)(const struct space *space, void *data), void *data);

/* Returns the segment of that key, or NULL if no space uses it. */
const struct segment *spaces_find(const struct spaces *spaces, const struct segment_key *key);
void spaces_each_segment(const struct spaces *spaces,
	void (*visit)(const struct segment *segment, void *data), void *data);

/*
 * Returns the open files that the rows of one segment stand for, those that the sums leave out
 * included (uint64_t, ascending; freed by the caller): descriptors and mappings that come of one
 * open(2) are one. Rows whose file is not known have none.
 */
GArray *spaces_files(struct spaces *spaces, const struct segment *segment);
bool spaces_has_file(const GArray *files, uint64_t file);

/*
 * Call `visit` for the rows of one segment that its sums count, until it returns false. The first
 * call after a change looks through all rows, the following ones through an index.
 */
void spaces_each_mapping(struct spaces *spaces, const struct segment *segment,
	bool (*visit)(const struct space *space, const struct mapping *row, void *data),
	void *data);
void spaces_each_descriptor(struct spaces *spaces, const struct segment *segment,
	bool (*visit)(const struct space *space, const struct descriptor *row, void *data),
	void *data);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An executor is a process that makes one actor's calls on one side. It is a process of its own so
 * that it has credentials, a table of descriptors, an address space and locks of its own.
 */
#pragma once

#include "step.h"

/* Where the calls of an executor go. */
struct side {
	const char *dir;
	bool is_mount; /* the side under test; the other one is the model */
	/*
	 * Expect what a mount without passthrough can do: every shared mapping is ENODEV there,
	 * and the model foretells that instead of mapping.
	 */
	bool no_mmap;
};

struct mapping {
	char *addr; /* NULL: the slot is empty */
	size_t len;
};

/* The state that steps build up; the step functions work on it. */
struct context {
	const struct actor *actor;
	const struct side *side;
	int fds[FD_SLOTS]; /* -1: empty, and a call gets EBADF */
	struct mapping maps[MAP_SLOTS];
	char *io; /* MAX_IO bytes to read into or write from */
};

struct executor;

/* Starts the process in side->dir. Ends the program if it cannot. The caller owns the result. */
struct executor *executor_start(const struct actor *, const struct side *);

/*
 * Lets it make the call. Returns what it answered, valid until the next call, or NULL with the
 * reason in errno: ETIMEDOUT when it did not answer in time, ESRCH when it died.
 */
struct outcome *executor_run(struct executor *, const struct step *);

/* Kills the process and waits for its end. */
void executor_stop(struct executor *);

pid_t executor_pid(const struct executor *);

/* --- for the step functions --- */

/* Notes ret and errno of the call just made. Returns whether it succeeded. */
bool note(struct outcome *, int64_t ret);

/* Notes that a call that is not made would fail with err. */
void note_error(struct outcome *, int err);

/* Appends bytes to the data of the outcome, cut off at its end. */
void note_data(struct outcome *, const void *data, size_t len);

/* Closes what is in a slot, if anything, and empties it; returns what close(2) did. */
int close_slot(struct context *, int64_t slot);

/* Puts a descriptor that a call returned into a slot, closing what was there; notes 0 or the errno. */
void note_fd(struct context *, struct outcome *, int64_t slot, int fd);

/*
 * Has the kernel ask for the attributes of the file. Some calls go by the size or the owner that the
 * kernel of a mount knows rather than by the file's, which is documented: look before them.
 */
void look(struct context *, int64_t slot);

/*
 * Before a write the kernel asks for set-ID bits to be cleared if it knows of any: those that were
 * set behind the mount since it last looked stay.
 */
mode_t mode_of(const struct context *, int64_t mode);

/*
 * Where the daemon checks permissions: for an ioctl about the inode's flags the kernel opens the file of a mount
 * once more, to read, and who may not read it is refused. Natively the descriptor is enough; what would be changed
 * there must not be.
 */
bool flags_are_unreadable(int fd);

/*
 * Whether the file has become immutable since it was opened, or that cannot be asked. What the mount's
 * kernel, which does not know it, answers otherwise is then not tried on either side.
 */
bool is_immutable(const struct context *, int64_t slot);

/*
 * Before what writes at the end: a limit is applied to the size that the kernel knows; and so, without
 * passthrough, is the position that O_APPEND leaves.
 */
void look_at_end(struct context *, int64_t slot);

/* Whether the process has a limit on the size of files. */
bool is_limited(void);

/* Fills buf with bytes that depend on the seed. */
void fill_pattern(char *buf, size_t len, int64_t seed);

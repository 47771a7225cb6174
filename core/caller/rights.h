/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What decides besides user and group: supplementary groups and capabilities, those of a caller and
 * those of the calling thread. Nothing else in the program reads or changes them.
 *
 * Changes are made by raw system calls, for they are to change the calling thread alone: glibc's
 * setgroups() changes every thread of the process.
 */
#pragma once

#include "caller/caller.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A bit for each capability. */
#define CAPABILITY(number) (UINT64_C(1) << (number))

struct caller_rights {
	GArray *groups;     /* supplementary, of gid_t; owned */
	uint64_t effective; /* capabilities */
	bool known;         /* false: there are none because nothing could be read */

	/* Of a caller in another user namespace: its capabilities there, and the ids that it has there. */
	uint64_t inside;
	GArray *uids, *gids; /* of struct id_range, owned; NULL: the caller is in the daemon's */
};

/*
 * Reads the caller's rights, by BPF where credentials.h can, else from procfs, while the caller
 * waits for us inside its system call, so that they do not change. If the caller was killed and its
 * number is another process's by now, one of another user is told apart; to one of the same user the
 * answer does not go. A caller of whom
 * nothing can be read has no groups and no capabilities, and one in another user namespace has no
 * capabilities: there they are about other things.
 */
void caller_rights_read(const struct caller *caller, struct caller_rights *out);
/* Also of rights that are all zeros. */
void caller_rights_clear(struct caller_rights *rights);

/* A variable that is cleared at the end of its scope; it begins as { 0 }. */
#define auto_rights __attribute__((cleanup(caller_rights_clear))) struct caller_rights

/* The same without `inside` and the ids: where capabilities of other user namespaces do not count. */
void caller_rights_read_here(const struct caller *caller, struct caller_rights *out);

/*
 * Once, before any thread starts: whether nobody else checks what callers may do. From then on a caller counts as one of
 * whom nothing could be read also where caller_rights_are_old().
 */
void caller_rights_decide_alone(bool decide);

/* Whether that is so: then no answer may rest on rights that are not known. */
bool caller_rights_must_be_known(void);

/*
 * Whether the caller, whose directory in /proc that is, may have other rights than procfs shows: of a thread that the
 * kernel has made for an io_uring procfs shows, as long as it lives, those that its process had then; it acts with those
 * of who made the request. 1, 0, or a negative errno if that cannot be read.
 */
int caller_rights_are_old(int dir, const struct caller *caller);

/*
 * The same for the question of access(2), which asks with the real user in place of the file system's, and counts all
 * that a real root is permitted and nothing that another user has; but with AT_EACCESS, and as chdir(2), by the
 * effective ones. A request of a caller whose users are one does not tell which it was: then it is answered as
 * access(2) is, and `want` X_OK alone as chdir(2).
 */
void caller_rights_read_for_access(const struct caller *caller, int want,
	struct caller_rights *out);

/*
 * The capabilities as they count over a file of that owner: those of a caller in another user namespace do if both ids
 * are mapped there, and then those alone that decide on files; CAP_FOWNER, as long as no name is concerned, if the user is.
 */
uint64_t caller_rights_over(const struct caller_rights *rights, uid_t uid, gid_t gid);

/* Whether the group is one of the supplementary groups. */
bool caller_rights_in_group(const struct caller_rights *rights, gid_t gid);

/* The effective capabilities of the calling thread. */
uint64_t thread_capabilities(void);

/* Makes effective those of `wanted` that the thread is permitted, and no others. Cannot fail. */
void thread_set_capabilities(uint64_t wanted);

/* The same for those of `among` alone; all others stay as they are. */
void thread_set_capabilities_among(uint64_t among, uint64_t wanted);

/*
 * Gives up all capabilities but those of `wanted`, also for programs that it might execute: for good,
 * of the calling thread and of those that it starts. Cannot fail.
 */
void process_keep_capabilities(uint64_t wanted);

/* Sets the thread's user and group for files, which must be permitted. Cannot fail: waits for memory. */
void thread_set_file_ids(uid_t uid, gid_t gid);

/* The same; false if the thread had them already. */
bool thread_change_file_ids(uid_t uid, gid_t gid);

/* Sets the thread's supplementary groups. 0 or a negative errno: a user namespace may forbid it. */
int thread_set_groups(const gid_t *groups, size_t n);

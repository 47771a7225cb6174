/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acting as the caller.
 *
 * The kernel has checked a request against the attributes that it last saw; by the time the daemon
 * acts, the name may mean somebody else's object. So whatever changes a name or an attribute is
 * done with the caller's own file system identity, and tmpfs itself has the last word.
 *
 *	struct identity id;
 *
 *	identity_begin(&id, req);
 *	do
 *		r = unlinkat(dir, name, 0) < 0 ? -errno : 0;
 *	while (identity_retry(&id, r));
 *	identity_end(&id);
 *
 * The caller's supplementary groups and capabilities cost a look into procfs, and hardly any
 * request needs them: they are put on only when the first try was refused (identity_retry()), or
 * at once where their lack would not be refused but change the result (identity_groups()). Root
 * likewise acts with the daemon's capabilities, unless the result depends on which it has: whether
 * it may act at all, the kernel has checked.
 *
 * Between begin and end the thread must not reply, nor register a backing file: the kernel would
 * keep the caller's credentials for every later opener.
 *
 * A daemon without privilege serves its own user alone and acts as itself; all this is then nothing.
 */
#pragma once

#include "kinds/kind.h"

#include <stdbool.h>
#include <sys/types.h>

#include <fuse_lowlevel.h>

/* On whose behalf a request is. */
struct caller identity_caller(fuse_req_t req);

struct identity {
	fuse_req_t req;
	bool worn; /* fsuid and fsgid are the caller's */
	bool full; /* groups and capabilities too */
	bool caps; /* the thread's capabilities were changed, beyond what setfsuid(2) does */
};

/* Once, before any thread starts: drops the daemon's own supplementary groups, learns its rights. */
void identity_init(void);

/* Whether the daemon can act for other users at all. */
bool identity_privileged(void);

void identity_begin(struct identity *id, fuse_req_t req);

/* Puts on the caller's groups and capabilities now, be they fewer or more. */
void identity_groups(struct identity *id);

/* Whether `result` (0 or a negative errno) calls for another try, now with groups. */
bool identity_retry(struct identity *id, int result);

/* Back to the daemon's own; errno is kept. */
void identity_end(struct identity *id);

/*
 * In place of identity_begin(), to do what the caller may do by virtue of an open descriptor: with
 * the daemon's own right to any file, but if `clears` with what decides whether set-user-ID and
 * set-group-ID go: the caller's groups, and no CAP_FSETID.
 */
void identity_begin_by_descriptor(struct identity *id, fuse_req_t req, bool clears);

/* The same on a caller's identity that is worn already. */
void identity_without_fsetid(struct identity *id);

/*
 * Whether the caller may open a file of that owner and mode for `want` (R_OK, W_OK), as the kernel
 * decides it where there is no ACL. For files that the kernel cannot be asked about: a daemon
 * without privilege leaves it to the kernel, which lets it open its own user's alone.
 */
struct ownership {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};
bool identity_permits(fuse_req_t req, const struct ownership *file, int want);

/* Sets the umask of this thread alone, for the creation that follows. */
void identity_umask(mode_t umask);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acting with the caller's file system ids.
 *
 * Where the kernel checks permissions, it has checked a request against the attributes that it last
 * saw; by the time the daemon acts, the name may mean another user's object. So whatever changes a name
 * or an attribute is done with the caller's own file system ids, and tmpfs itself has the last word.
 *
 *	struct fsuid id;
 *
 *	fsuid_begin(&id, caller);
 *	do
 *		r = unlinkat(dir, name, 0) < 0 ? -errno : 0;
 *	while (fsuid_retry(&id, r));
 *	fsuid_end(&id);
 *
 * The caller's supplementary groups and capabilities cost another question, and hardly any
 * request needs them: they are taken on only when the first try was refused (fsuid_retry()), or at
 * once where their lack would not be refused but change the result (fsuid_take_groups()). So it is
 * for user 0 as well, which may be a root without capabilities, or of a user namespace.
 *
 * Where nobody has checked the request (daemon/permit.h), a try without the groups could be granted what a group is
 * denied: there all rights are taken on at once (fsuid_begin_whole()), or nothing is done.
 *
 * Between begin and end the thread must not reply, nor register a backing file: the kernel would
 * keep the caller's credentials for every later opener.
 *
 * A daemon without privilege serves its own user alone and acts as itself; all this is then nothing.
 */
#pragma once

#include "caller/caller.h"

#include <stdbool.h>

/* All members are private. */
struct fsuid {
	struct caller caller;
	bool ids;          /* fsuid and fsgid are the caller's */
	bool changed;      /* and were not the thread's own */
	bool groups;       /* the groups are the caller's */
	bool member;       /* and there are some: the thread itself has none */
	bool capabilities; /* the capabilities are not the thread's, beyond what setfsuid(2) changes */
};

/* Once, before any thread starts: drops the daemon's own supplementary groups, learns its rights. */
void fsuid_init(void);

/* Once the daemon's own limits are set, before any thread starts: gives up what no request may use. */
void fsuid_settle(void);

/* Whether the daemon can act for other users at all. */
bool fsuid_privileged(void);

/* Takes on the caller's fsuid and fsgid, and with them the loss of capabilities that goes along. */
void fsuid_begin(struct fsuid *id, const struct caller *caller);

/*
 * The same with groups and capabilities, these as they count over the file behind `fd` (O_PATH will do), for calls that
 * this file alone decides. -1: a call about names, which directory and files decide; then those of a caller in another
 * user namespace do not count. 0, or -EACCES and nothing is taken on: what the caller may is not known. fsuid_end() in
 * both cases.
 */
int fsuid_begin_whole(struct fsuid *id, const struct caller *caller, int fd);

/*
 * Whether the caller may `want` (R_OK, W_OK, X_OK) the file behind `fd` (O_PATH will do): 0 or a negative
 * errno. The kernel decides, by mode, ACL and capabilities. A daemon without privilege asks for itself.
 */
int fsuid_may(const struct caller *caller, int fd, int want);

/* The same as access(2) asks it, which is by other ids and capabilities (rights.h). */
int fsuid_access(const struct caller *caller, int fd, int want);

/* Takes on the caller's groups and capabilities now, be they fewer or more. */
void fsuid_take_groups(struct fsuid *id);

/* Whether `result` (0 or a negative errno) calls for another try, now with groups. */
bool fsuid_retry(struct fsuid *id, int result);

/* Goes back to the daemon's own; errno is kept. */
void fsuid_end(struct fsuid *id);

/*
 * In place of fsuid_begin(), to do what the caller may do by virtue of an open descriptor: with
 * the daemon's own right to any file, but if `clears` with what decides whether set-user-ID and
 * set-group-ID go: the caller's groups, and no CAP_FSETID.
 */
void fsuid_begin_by_descriptor(struct fsuid *id, const struct caller *caller, bool clears);

/* Takes CAP_FSETID away, after fsuid_begin(). */
void fsuid_without_fsetid(struct fsuid *id);

/*
 * Whether the caller may open a file of that owner and mode for `want` (R_OK, W_OK, X_OK), as the kernel
 * decides it where there is no ACL. For files that the kernel cannot be asked about: a daemon
 * without privilege leaves it to the kernel, which lets it open its own user's alone.
 */
struct ownership {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};
bool fsuid_permits(const struct caller *caller, const struct ownership *file, int want);

/* The same as access(2) asks it: fsuid_access(). */
bool fsuid_access_permits(const struct caller *caller, const struct ownership *file, int want);

/* Whether the caller may do to such a file what its owner may. */
bool fsuid_owns(const struct caller *caller, const struct ownership *file);

/* Whether the caller may take such a file's capabilities away without a write: by removexattr(2) or chown(2). */
bool fsuid_may_strip(const struct caller *caller, const struct ownership *file);

/* Sets the umask of this thread alone, for the creation that follows. */
void fsuid_umask(mode_t umask);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acting with the caller's effective ids, groups and capabilities.
 *
 * What the caller may do to an object, or see of a process, the kernel knows best, and it alone can
 * check and act in one step: an ID that we had checked ourselves might be another's object by the
 * time we act on it as root. So a thread takes on the caller's rights for the one call in between:
 *
 *	struct effective ids;
 *
 *	r = effective_begin(&ids, caller);
 *	if (r < 0)
 *		return r;
 *	r = shmctl(id, IPC_RMID, NULL) < 0 ? -errno : 0;
 *	effective_end(&ids);
 *
 * System V IPC looks at the effective ids rather than at those of the file system (fsuid.h), and
 * likewise mqueues, procfs and ptrace checks. Supplementary groups and capabilities are the
 * caller's too: a root user that has been left with no capabilities must not borrow the daemon's.
 * The thread alone changes (raw system calls), and can always come back, for its real and saved
 * user stay root; and they keep the caller's user from tracing or signalling it meanwhile.
 */
#pragma once

#include "caller/caller.h"

#include <stdbool.h>
#include <stdint.h>

/* What the thread was before effective_begin(). */
struct effective {
	bool changed;
	bool in_groups; /* of the caller */
	uid_t fsuid;
	gid_t fsgid, egid;
	uint64_t capabilities;
	gid_t *groups;
	int n_groups;
};

/*
 * Makes the calling thread act as the caller: 0. Otherwise the thread is as before: -EPERM, this daemon cannot
 * act for that caller; -EACCES, the caller's rights are not known although they must be (rights.h). A daemon
 * without privilege acts for its own user alone, as itself.
 */
int effective_begin(struct effective *ids, const struct caller *caller);

/* Makes the thread what it was before effective_begin(); errno is kept. */
void effective_end(struct effective *ids);

/*
 * Whether the caller may open the file behind `fd` (O_PATH will do) for `want` (R_OK, W_OK): 0, -EACCES
 * or -EPERM. The kernel decides, by mode, ACL and capabilities.
 */
int caller_may_access(const struct caller *caller, int fd, int want);

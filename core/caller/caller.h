/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acting and looking as the caller: what the caller may do to an object, or see of a process, the
 * kernel knows best, and it alone can check and act in one step: an ID that we had checked
 * ourselves might be another's object by the time we act on it as root. So a thread takes on the
 * caller's rights for the one call in between:
 *
 *	struct caller_worn worn;
 *
 *	r = caller_wear(caller, &worn);
 *	if (r < 0)
 *		return r;
 *	r = shmctl(id, IPC_RMID, NULL) < 0 ? -errno : 0;
 *	caller_shed(&worn);
 *
 * These are the effective ids, at which System V IPC looks rather than at those of the file system,
 * the supplementary groups and the effective capabilities: a root who has been left with none must
 * not borrow the daemon's. The thread alone changes (raw system calls), and can always come back,
 * for its real and saved user stay root; and they keep that user from tracing or signalling it
 * meanwhile.
 */
#pragma once

#include "kinds/kind.h"

/*
 * What decides beside user and group: read from procfs while the caller waits for us inside its
 * system call, so that it does not change. A caller that was killed may have an heir to its number:
 * one of another user is told apart, and nobody is left to take an answer. Of whom nothing can be
 * read, and of capabilities about another user namespace than ours, there are none.
 */
struct caller_rights {
	GArray *groups;     /* supplementary, of gid_t; owned */
	uint64_t effective; /* capabilities, a bit each */
	bool known;         /* false: there are none because nothing could be read */
};
void caller_rights_read(const struct caller *caller, struct caller_rights *out);
void caller_rights_clear(struct caller_rights *rights);

struct caller_worn {
	bool worn;
	uid_t fsuid;
	gid_t fsgid, egid;
	uint64_t effective; /* capabilities */
	gid_t *groups;
	int n_groups;
};

/*
 * 0, or -EPERM: this daemon cannot act for that caller, and is as before. One without privilege
 * acts for its own user alone, as itself.
 */
int caller_wear(const struct caller *caller, struct caller_worn *out);

/* Back to what the thread was; errno is kept. */
void caller_shed(struct caller_worn *worn);

/* Whether the caller may read the file behind `fd` (O_PATH will do): 0, -EACCES or -EPERM. */
int caller_may_read(const struct caller *caller, int fd);

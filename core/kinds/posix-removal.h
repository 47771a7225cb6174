/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Removes POSIX objects, but only if nothing uses them at the instant of the removal:
 *
 *	take a lease (lease.h)                   refused: -EBUSY
 *	rename the object to a hidden name       no new opener can find it
 *	is the lease unbroken?                   no: rename it back, -EBUSY
 *	unlink the hidden name
 *
 * One gap is left: a process that walked the path before the rename may reach the lease only after
 * it was checked. Then it has opened an object without a name, and the caller is told.
 *
 * The hidden name is POSIX_HIDDEN_PREFIX and the object's own name. It remains if the daemon is
 * killed in between, or if another object took the name before the first could be renamed back:
 * posix_restore_hidden() gives the object its name again.
 */
#pragma once

#include "caller/caller.h"

#include <stdbool.h>

#define POSIX_HIDDEN_PREFIX ".shmtree-removing."

/*
 * Removes the object `name` of the directory `dir` as the caller. Returns 0; 1 if it was removed,
 * but a process opened it in the gap; -EBUSY if something uses it; -ENAMETOOLONG if there is no
 * room for the hidden name; -EOPNOTSUPP where there are no leases; or what unlink(2) says to the
 * caller. The thread must be the daemon itself, not acting for a caller.
 */
int posix_remove_idle(int dir, const char *name, const struct caller *caller);

/* Whether this is the hidden name of an object that is being removed now: it is not to be shown. */
bool posix_is_hidden(const char *name);

/*
 * Waits until the removal that is going on, if any, has ended. A thread that got EWOULDBLOCK from
 * open(2) may have met its lease, and can then try again.
 */
void posix_removal_wait(void);

/*
 * Gives the objects in `dir` that were left under a hidden name their names back; returns how many.
 */
unsigned posix_restore_hidden(int dir);

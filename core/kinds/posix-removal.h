/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Removal of POSIX objects that nothing uses, at the very instant of the removal:
 *
 *	take a lease (lease.h)                   refused: -EBUSY
 *	rename the object to a hidden name       no new opener can find it
 *	is the lease unbroken?                   no: rename it back, -EBUSY
 *	unlink the hidden name
 *
 * One gap is left: an opener that had walked the path before the rename, and gets to the lease only
 * after it was looked at. It has an object without a name then, and the caller is told.
 *
 * The hidden name is POSIX_HIDDEN_PREFIX and the object's own. It is left over if the daemon is
 * killed in between, and if another object took the name before the first could be renamed back:
 * posix_restore_hidden() gives the object its name again.
 */
#pragma once

#include "caller/effective.h"

#include <stdbool.h>

#define POSIX_HIDDEN_PREFIX ".shmtree-removing."

/*
 * Removes the object `name` of the directory `dir` as the caller. Returns 0; 1 if it was removed,
 * but somebody opened it in the gap; -EBUSY if something uses it; -ENAMETOOLONG if there is no room
 * for the hidden name; -EOPNOTSUPP where there are no leases; or what unlink(2) says to the caller.
 * The thread must be the daemon itself, not acting for a caller.
 */
int posix_remove_idle(int dir, const char *name, const struct caller *caller);

/* Whether this is the hidden name of an object that is being removed now: it is not to be shown. */
bool posix_is_hidden(const char *name);

/*
 * Returns when the removal that is going on, if any, has ended. A thread that got EWOULDBLOCK from
 * open(2) may have met its lease, and can try again.
 */
void posix_removal_wait(void);

/* Gives the objects in `dir` that were left under a hidden name their names back; returns how many. */
unsigned posix_restore_hidden(int dir);

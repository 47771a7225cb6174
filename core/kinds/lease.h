/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write leases (fcntl(2), F_SETLEASE), as the proof that nothing else has a file open.
 *
 * The kernel grants one on a file of a tmpfs or a message queue only while no other open file of it
 * exists: no descriptor in any process, none on its way through a socket or registered with
 * io_uring, no mapping, no loop device. (On memfds and System V segments it always grants it, which
 * proves nothing.) A process that opens the file afterwards waits and thereby breaks the lease,
 * which the holder of the lease can see; with O_NONBLOCK, open(2) fails with EWOULDBLOCK. So take
 * one only on behalf of a caller that could do as much without the daemon (lease_may_unlink()) or
 * where nothing else tells who uses the file (lease_proves_free()), and for a few system calls.
 */
#pragma once

#include "caller/caller.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * Whether the caller may remove the file `name` of the directory `dir`: 0, or what unlink(2) would
 * say. Nothing is changed. The thread must be the daemon itself, not acting for a caller.
 */
int lease_may_unlink(int dir, const char *name, const struct caller *caller);

/*
 * Opens the file for a lease: a descriptor that the caller closes, or a negative errno. -EBUSY:
 * another open file has a lease on it; -ENOENT: it is no regular file.
 */
int lease_open(int dir, const char *name);

/*
 * Takes a lease on the open file: 0, -EBUSY if something else has the file open, or -EOPNOTSUPP
 * where there are no leases (the sysctl fs.leases-enable).
 */
int lease_take(int fd);

/* Returns whether the lease is unbroken: no process has tried to open the file since. */
bool lease_holds(int fd);

void lease_drop(int fd);

/*
 * 1 if nothing but O_PATH descriptors refers to the file of that name, 0 if something does; or a
 * negative errno if that cannot be known. Never waits for another's lease.
 */
int lease_proves_free(int dir, const char *name);

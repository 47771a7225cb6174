/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fs.protected_regular (sysctl), which the kernel does not apply to a FUSE mount whose permissions the daemon
 * checks: that a program which means to create an object does not open one that somebody else has put there.
 */
#pragma once

#include "caller/caller.h"

#include <stdbool.h>

/* What the system call in which a thread waits says about O_CREAT. */
enum opening { OPENING_WITHOUT_CREAT, OPENING_WITH_CREAT, OPENING_UNKNOWN };

/*
 * By /proc/TID/syscall and, for an io_uring worker, the thread's name. The flags of openat2(2) are in the caller's
 * memory, which is not read: unknown. Pure.
 */
enum opening opening_parse(const char *syscall, const char *command);

/* Whether that can be told of processes of this machine: the kernel, or its settings, may forbid it. */
bool opening_is_known(void);

/*
 * Whether fs.protected_regular is about this file in this directory and that caller, of whom only the file system
 * user counts: to be asked on each opening of an object that exists, and costs no more than two fstat(2) if not.
 */
bool opening_is_protected(const struct caller *caller, int directory, int file);

/*
 * Whether the caller opens with O_CREAT, in which case such a file is -EACCES; 0 if not. Of openat2(2) and
 * io_uring that cannot be told, and is refused. Waits until the caller's thread sleeps: for workers.
 */
int opening_refused(const struct caller *caller);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds threads that wait in a system call for a System V object: the kernel does not count
 * receivers.
 */
#pragma once

#include "kinds/kind.h"

/* Whether a text of /proc/PID/syscall is of that call, and then its first argument. Pure. */
bool ipc_parse_syscall(const char *text, long number, int *id);

/*
 * Takes out of `ids` (keys are GINT_TO_POINTER) each with which a thread of the realm's IPC namespace,
 * as first argument, is in the system call of that number. 0; or a negative errno if a process of
 * the namespace could not be read, which may wait for any. Processes whose namespace cannot be read
 * are left out.
 */
int ipc_leave_out_awaited(const struct realm *realm, long number, GHashTable *ids);

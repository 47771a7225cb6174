/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds threads that wait in a system call for a System V object: the kernel does not count
 * receivers.
 */
#pragma once

#include "kinds/kind.h"

/* Returns whether a text of /proc/PID/syscall is of that call; `id`: the first argument. Pure. */
bool ipc_parse_syscall(const char *text, long number, int *id);

/*
 * Removes from `ids` (keys are GINT_TO_POINTER) each for which a thread of the realm's IPC
 * namespace waits: it is in the system call of that number, with the ID as first argument. 0; or a
 * negative errno if a process of the namespace could not be read, which may wait for any. Processes
 * whose namespace cannot be read are left out.
 */
int ipc_leave_out_awaited(const struct realm *realm, long number, GHashTable *ids);

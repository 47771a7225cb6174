/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds threads that wait in a system call for a System V object: the kernel does not count
 * receivers.
 */
#pragma once

#include "kinds/kind.h"

/* Whether a text of /proc/PID/syscall is of that call, with `id` as first argument. Pure. */
bool ipc_parse_syscall(const char *text, long number, int id);

/*
 * Whether a thread of the realm's IPC namespace is in the system call of that number, with `id` as
 * first argument. 1 or 0; a negative errno if a process of the namespace could not be read.
 * Processes whose namespace cannot be read are left out.
 */
int ipc_thread_waits(const struct realm *realm, long number, int id);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The privileges of this process, for decisions and for messages that say which one is missing. */
#pragma once

#include <stdbool.h>

/* Whether this thread has the capability (CAP_*), as far as its own user namespace goes. */
bool privilege_capable(int capability);

/*
 * Whether a program that gains privileges by execve(2), such as a set-user-ID one, could have it.
 */
bool privilege_attainable(int capability);

/*
 * Whether this is the initial user namespace: in any other, root has no privileges over the kernel.
 */
bool privilege_of_machine(void);

/* Whether this is the initial pid namespace: any other has no number for a process outside of it. */
bool privilege_sees_all_processes(void);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this process itself may ask of the kernel, and why not. */
#pragma once

#include <stdbool.h>

/* Whether this thread has the capability (CAP_*), in whatever user namespace it is. */
bool privilege_capable(int capability);

/* Whether a program could have it that execve(2) gives privileges, such as a set-user-ID one. */
bool privilege_attainable(int capability);

/* Whether the user namespace is the machine's own: elsewhere root has no power over the kernel. */
bool privilege_of_machine(void);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings of the kernel that are a number in a file below /proc/sys. */
#pragma once

#define SETTING_YAMA "/proc/sys/kernel/yama/ptrace_scope"

/* The number; 0 if the kernel has no such setting; INT_MAX, the strictest there is, if it cannot be told. */
int setting_read(const char *path);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process group of workers that can be brought to a standstill. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Appends the pids of the group's processes. */
void group_list(pid_t group, GArray *pids);

/* Returns once no thread of the group can run until group_continue(). */
void group_stop(pid_t group);
void group_continue(pid_t group);

/* Kills all, and returns when nobody is left. They must be our children, or orphans of theirs. */
void group_kill(pid_t group);

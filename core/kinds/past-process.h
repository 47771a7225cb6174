/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that an IPC object records by pid: they may be dead, and the pid another process's. */
#pragma once

#include "kinds/kind.h"

struct past_process {
	pid_t pid; /* 0: none */
	bool alive;
	bool unknown; /* whether it is, or may be seen: procfs could not be read, for a lack of descriptors or memory */
	char command[16]; /* empty if the process is dead, or the caller may not see it */
};

/*
 * Finds the process that had this pid at `then` (seconds since 1970). A process that started later
 * is another one; then the one that is meant is dead.
 */
struct past_process past_process_find(const struct realm *realm, pid_t pid, int64_t then);

/*
 * Whether that process may still be alive: false only if it is known to be gone. `pid` 0, which the
 * kernel also gives for a process of another pid namespace, is no process.
 */
bool past_process_may_live(const struct realm *realm, pid_t pid, int64_t then);

/*
 * As past_process_find(), but without the command if procfs would not show it to the view's caller.
 */
struct past_process past_process_seen(const struct view *view, pid_t pid, int64_t then);

/* "alive", "dead", "none", "unknown". */
const char *past_process_state(const struct past_process *process);

/*
 * Append it as three lines, `pid`, `command` and `state` (see above), or as a member
 * `name`.
 */
void past_process_show(const struct past_process *process, GString *out);
void past_process_json(const struct past_process *process, const char *name, struct json *json);

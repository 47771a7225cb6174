/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that an IPC object remembers by number: they may be dead, and the number another's. */
#pragma once

#include "kinds/kind.h"

struct past_process {
	pid_t pid; /* 0: nobody */
	bool alive;
	char command[16]; /* empty for the dead, and for those who may not know */
};

/*
 * The process that had this pid, alive, at `then` (seconds since 1970): one that started later is
 * another, and the one that is meant is dead.
 */
struct past_process past_process_find(const struct realm *realm, pid_t pid, int64_t then);

/*
 * Whether that process may be alive still: false only if it is known to be gone. `pid` 0, which the
 * kernel also gives for one of another pid namespace, is nobody.
 */
bool past_process_may_live(const struct realm *realm, pid_t pid, int64_t then);

/* The same as the view's caller may see it: without a command that procfs would not show. */
struct past_process past_process_seen(const struct view *view, pid_t pid, int64_t then);

/* As three lines, `pid`, `command` and `state` ("alive", "dead", "none"); as a member `name`. */
void past_process_show(const struct past_process *process, GString *out);
void past_process_json(const struct past_process *process, const char *name, JsonBuilder *builder);

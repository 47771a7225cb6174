/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/status: who a process or thread is. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order in which the lines Uid: and Gid: have them. */
enum { ID_REAL, ID_EFFECTIVE, ID_SAVED, ID_FS, IDS };

struct proc_status {
	pid_t tgid, parent;
	uid_t uids[IDS];
	gid_t gids[IDS];
	uint64_t permitted, effective; /* capabilities, a bit each, about its own user namespace */
	bool no_new_privs;             /* false too where the kernel does not tell (before 4.10) */
};

/* False if the text lacks one of these. Pure. */
bool proc_parse_status(const char *text, struct proc_status *out);

/* `dir` is of /proc/PID or /proc/PID/task/TID. -ESRCH when it is gone, -EPROTO if unintelligible. */
int proc_read_status(int dir, struct proc_status *out);

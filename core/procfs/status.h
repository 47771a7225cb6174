/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/status: the credentials of a process or thread, and its parent. */
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
	bool no_new_privs; /* also false where the kernel does not show it (before Linux 4.10) */
};

/*
 * Parses the text; False if it lacks one of these. If `groups` is not NULL, the supplementary
 * groups (gid_t) are appended to it. Pure.
 */
bool proc_parse_status(const char *text, struct proc_status *out, GArray *groups);

/*
 * Reads and parses `status` in `dir`, which is a directory of /proc/PID or /proc/PID/task/TID.
 * -ESRCH when the process or thread is gone, -EPROTO if the text is not what the kernel writes.
 */
int proc_read_status(int dir, struct proc_status *out, GArray *groups);

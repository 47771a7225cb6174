/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a caller could see of other processes without the daemon.
 *
 * The kernel's rule for /proc/PID/maps, /proc/PID/fd and /proc/PID/mem is ptrace_may_access(): user
 * and group ids, dumpability, capabilities, user namespaces, and what Linux security modules add. The
 * daemon lets the kernel decide wherever it can, by asking procfs while the thread has the caller's
 * user, groups and capabilities. Three things about a caller no thread of the daemon can take on; a
 * caller that has one of them is *confined*, and this file applies the kernel's rule itself:
 *
 * - another pid namespace: the caller sees the processes of that namespace and of those below;
 * - another user namespace: its capabilities are about that namespace and those below, and a process
 *   of any other is closed to it;
 * - a sandbox: a thread with no_new_privs may be in a Landlock domain, which procfs does not show.
 *   It sees its own process alone.
 *
 * Where the kernel's rule depends on something that cannot be known, the answer is no. A process
 * always sees itself. Of a caller whose process cannot be read (outside the daemon's pid namespace,
 * or gone), and of a thread of an io_uring (caller_rights_are_old()), nothing is known: it sees nothing.
 *
 * Not taken into account: the labels of AppArmor, SELinux and Smack; a Landlock domain that a
 * process with CAP_SYS_ADMIN entered without no_new_privs; and of nested user namespaces, that a process which
 * is not dumpable may have entered the caller's from one between it and the daemon's, if the caller's has the id
 * of that one's root.
 */
#pragma once

#include "caller/effective.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct caller_sight {
	struct effective ids; /* while the caller is not confined */
	struct caller caller;
	const char *path; /* of the procfs */
	int proc;         /* the same, opened; -1: nothing is seen */
	int error;        /* of reading the caller, for the moment (is_failure()); else 0 */
	pid_t itself;     /* the caller's process; 0: not known */
	bool confined;
	bool sandboxed;
	uint64_t pid_ns,
		user_ns; /* inode numbers of the caller's, where not the daemon's; else 0 */
	GArray *uids; /* of struct id_range, of the caller's user namespace; NULL: it is the daemon's */
	bool nested;        /* that one is not directly below the daemon's */
	uint64_t effective; /* the caller's capabilities, about its user namespace */
	uid_t euid;         /* to which user namespaces may belong */
	bool all; /* by CAP_SYS_PTRACE, of a caller that is not confined: nothing has to be asked */
	pid_t asked; /* the last process that was asked about, and the answer */
	bool seen;
};

/*
 * Between begin and end the thread may act as the caller (effective.h), and must do nothing else that
 * needs rights. `proc` is the path of the procfs of the processes asked about, and stays the caller's.
 */
void caller_sight_begin(struct caller_sight *sight, const char *proc, const struct caller *caller);
void caller_sight_end(struct caller_sight *sight);

/* Whether /proc/PID/maps and /proc/PID/fd would open for the caller (PTRACE_MODE_READ_FSCREDS). */
bool caller_sees_memory(struct caller_sight *sight, pid_t pid);

/*
 * Whether the caller could read and write what the process maps, by /proc/PID/mem or
 * /proc/PID/map_files (PTRACE_MODE_ATTACH_FSCREDS; Yama forbids it to most).
 */
bool caller_reaches_memory(struct caller_sight *sight, pid_t pid);

/*
 * Whether a process that is dead would have been seen: one of that effective user, which could read
 * its memory (`readable`).
 */
bool caller_sees_past(const struct caller_sight *sight, uid_t uid, bool readable);

/* Whether the process is visible at all, and with it its name: there is the mount option hidepid. */
bool caller_sees_process(struct caller_sight *sight, pid_t pid);

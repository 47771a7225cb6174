/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The credentials of a thread, read from the kernel by BPF. That takes about 1 µs; procfs, which makes
 * text of them, takes 20, which is as long as a whole open(2) through the mount.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct credentials {
	uid_t uid, fsuid;
	uint64_t permitted, effective; /* capabilities, a bit each */
	bool io_worker;                /* a thread that the kernel made for an io_uring */
};

/*
 * Loads the program, once, before any thread starts, and checks it by the credentials of the calling
 * thread. Only for a daemon that sees all processes (privilege.h): numbers of another pid namespace
 * would be taken for those of the first. It stays loaded until the process ends. 0 or a negative errno:
 * then credentials_read() always returns false.
 */
int credentials_open(void);

/*
 * Reads those of the thread of that number, in the first pid namespace, and appends its supplementary
 * groups (gid_t) to `groups`. False where procfs has to be asked: there is no such thread, it is in
 * another user namespace than the daemon, it has more than CREDENTIAL_GROUPS_MAX groups, or the
 * program could not be loaded or run. Any thread may call it.
 */
bool credentials_read(pid_t thread, struct credentials *out, GArray *groups);

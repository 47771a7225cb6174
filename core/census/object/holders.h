/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who holds an open file where no descriptor table has it: UNIX sockets, in whose queues descriptors
 * wait to be received (SCM_RIGHTS), and io_urings, with which files are registered.
 *
 * It is read without the kernel's locks: one that is received meanwhile may be missing, or still be
 * there. So these are rows of a table, and nothing is counted by them.
 *
 * Threads: any; one at a time is served.
 */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

enum holder_type { HOLDER_SOCKET, HOLDER_RING };

/* One file in one queue or ring, and one process that has the socket or ring open. */
struct holder {
	uint64_t file, inode; /* addresses in the kernel: never to be shown */
	uint64_t number;      /* of the socket: its inode's; of the ring: its descriptor's */
	enum holder_type type;
	pid_t pid, task; /* 0: no process has the socket, and none a socket on the way to it */
	uid_t uid;       /* effective */
	uint32_t flags;  /* f_flags of the file */
	char command[16];
};

struct holders;

/* A negative errno if the kernel does not take the programs. */
int holders_open(struct holders **out);
void holders_free(struct holders *holders);

/*
 * Appends a struct holder for each that there is now, in ascending order of inode, type, number, pid
 * and file, each once. Sockets that no process has are found in the daemon's network namespace; in
 * others by the processes that have a socket open. A negative errno if the kernel refused.
 */
int holders_list(struct holders *holders, GArray *out);

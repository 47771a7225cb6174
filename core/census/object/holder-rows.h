/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the records of holders.bpf.c say of the files that sockets and rings hold, put together. Pure. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

enum holder_type { HOLDER_SOCKET, HOLDER_RING };

#define HOLDER_NO_NUMBER UINT64_MAX

/* One file in one queue or ring, and one process that has the socket or ring open. */
struct holder {
	uint64_t file, inode; /* addresses in the kernel: never to be shown */
	/*
	 * The socket's inode number, or the ring's descriptor; HOLDER_NO_NUMBER of a ring without a
	 * descriptor: closed, but kept by the kernel until `task` runs, or registered with itself.
	 */
	uint64_t number;
	enum holder_type type;
	pid_t pid, task; /* 0: no process has the socket, or can receive it */
	uid_t uid;       /* effective */
	uint32_t flags;  /* f_flags of the file */
	char command[16];
};

/*
 * Appends to `out`, which is empty before, a struct holder for each file in a queue or ring and each process
 * that has it open or can receive it, as holders_list() says. `records` is of struct seen_holder, from
 * all lists.
 */
void holder_rows(const GArray *records, GArray *out);

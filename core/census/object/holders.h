/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists the open files that UNIX sockets and io_urings hold: descriptors that wait in a socket's
 * queue to be received (SCM_RIGHTS), and files that are registered with an io_uring. And descriptors of
 * namespaces, which keep them without a process.
 *
 * They are read without the kernel's locks: a file that is received meanwhile may be missing, or
 * still be listed. So the result is for rows of a table, and nothing is counted by it.
 *
 * Threads: any; one at a time reads the kernel's lists.
 */
#pragma once

#include "census/object/holder-rows.h"

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

struct holders;

/* Loads the programs. A negative errno if the kernel refuses them. */
int holders_open(struct holders **out);
void holders_free(struct holders *holders);

/*
 * Appends a struct holder for each that there is now, as far as the limits of holders.c allow, in
 * ascending order of inode, type, number, pid and file, each once. A socket that no process has
 * open is found only in the daemon's network namespace; elsewhere sockets are found through the
 * processes that have them open. A negative errno if the kernel refused.
 */
int holders_list(struct holders *holders, GArray *out);

/*
 * Calls `visit` for each descriptor of a namespace, of any type, in each descriptor table but the daemon's:
 * with a thread that has the table. A negative errno if the kernel refused.
 */
int holders_each_namespace(struct holders *holders, void (*visit)(pid_t task, int fd, void *data),
	void *data);

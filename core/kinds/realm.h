/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A realm is where names mean something: an IPC namespace and a directory of POSIX objects. There
 * is the daemon's own realm, and one for each foreign IPC namespace and each foreign /dev/shm that
 * the census met (realms.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct census;
struct caller;
struct events;

struct realm {
	const char *proc; /* procfs, as in census_config */
	struct census *census;
	int shm_fd;            /* the directory of the POSIX objects; -1: this realm has none */
	uint64_t shm_dev;      /* its st_dev */
	uint64_t internal_dev; /* census_internal_device() */
	uint64_t mount_dev; /* st_dev of the mount itself, whose files stand for others; 0: none */
	uint32_t ipc_ns;    /* inode number of the IPC namespace; 0: this realm has none */
	struct events *events; /* of its POSIX objects; NULL: they are not watched */
	int ipc_ns_fd;         /* that namespace, for setns(2); -1: the one this process is in */
	/*
	 * Who asks: kinds leave out items that this caller may not know of. NULL: the daemon itself, or a
	 * table that is the same for all, which tells of these no more than everyone may know.
	 */
	const struct caller *viewer;
};

/*
 * Whether it is the daemon's own, which alone has what belongs to no namespace (memfds, anonymous
 * memory) and whose System V segments have no namespace in their keys.
 */
static inline bool realm_is_own(const struct realm *realm)
{
	return realm->ipc_ns != 0 && realm->ipc_ns_fd < 0;
}

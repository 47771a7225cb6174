/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds foreign realms: the IPC namespaces and /dev/shm file systems of containers and the like.
 * Their segments may have the same numbers and names as those of the daemon's own realm.
 *
 * A foreign realm is found through a process that is in it, and opened for one request at a time: a
 * descriptor of a namespace, or of a directory in a file system, would keep it and its memory alive
 * after its last process. An IPC namespace without a process is found through what keeps it, a bind
 * mount or a descriptor (held-namespaces.h).
 */
#pragma once

#include "kinds/kind.h"

enum realm_type { REALM_IPC, REALM_SHM };

/* How a process leads to it. */
enum realm_reach {
	REACH_MEMBER,     /* the process is in it */
	REACH_MOUNT,      /* it is mounted in the process's mount namespace */
	REACH_DESCRIPTOR, /* the process has it open */
};

struct foreign_realm {
	enum realm_type type;
	enum realm_reach reach;
	uint64_t id;   /* inode number of the IPC namespace, st_dev of the tmpfs on /dev/shm */
	pid_t pid;     /* the process that leads to it */
	int fd;        /* REACH_DESCRIPTOR: as this */
	char name[32]; /* "ipc-4026532177", "shm-0:27": a directory's name */
};

/*
 * Appends a struct foreign_realm for each that is not `own`, once. `unreadable` counts the
 * processes whose namespaces the daemon was not permitted to read. 0 or a negative errno.
 */
int realms_find(const struct realm *own, GArray *out, unsigned *unreadable);

/*
 * The realm of that name, as long as a process leads to it: -ENOENT otherwise. `out` shares what it
 * can with `own`, and ends with realms_close().
 */
int realms_open(const struct realm *own, const char *name, struct realm *out);

/* The same for what realms_find() has found: -ENOENT if its process does not lead to it any more. */
int realms_open_found(const struct realm *own, const struct foreign_realm *found,
	struct realm *out);

/*
 * Whether realms_open() needs no look at all processes, because the one that led to the realm last still
 * does; and, if `caller` is not NULL, whether realms_permit() is known to permit it. Waits for no process.
 */
bool realms_at_hand(const struct realm *own, const char *name, const struct caller *caller);

void realms_close(struct realm *realm);

/*
 * Opens all that realms_find() finds, of those that `caller` may get at (realms_permit()) if that is not NULL. One
 * whose last process ends meanwhile is left out. `*out` is an array of struct opened_realm; to free it
 * closes them. 0, or an errno that leaves open whether there are more (is_failure()).
 */
struct opened_realm {
	struct realm realm;
	char name[32]; /* as above */
};
int realms_open_all(const struct realm *own, const struct caller *caller, GArray **out);

/*
 * Whether the caller could get at the files or segments of the realm of that name without the
 * daemon: 0, -EACCES, or -ENOENT if no process leads to it.
 */
int realms_permit(const struct realm *own, const char *name, const struct caller *caller);

/* What a name says. False if it is none. Pure. */
bool realms_parse_name(const char *name, struct foreign_realm *out);

/* The device of the tmpfs on /dev/shm, in the text of a process's mountinfo. False: none. Pure. */
bool realms_parse_mountinfo(const char *text, uint64_t *dev);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which devices hold segments, and which segment a file on them is.
 *
 * The kernel has tmpfs and hugetlbfs mounts of its own, whose files are memfds, System V segments
 * and anonymous shared memory; memfd_create(2) shows their device numbers. The tmpfs on /dev/shm
 * holds the POSIX objects. The daemon's own mount shows any of them under its own device.
 *
 * Threads: a census changes the set between passes only.
 */
#pragma once

#include "census/counts/segment.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

enum device_role {
	DEVICE_NONE,        /* not shared memory */
	DEVICE_SHM,         /* a tmpfs whose files are POSIX objects: /dev/shm, here or elsewhere */
	DEVICE_INTERNAL,    /* of the kernel's own mounts: the class is in the name */
	DEVICE_MOUNT,       /* the daemon's mount: the inode number says which segment */
	DEVICE_OTHER_MOUNT, /* the same, of another daemon */
};

struct device {
	uint64_t dev;
	enum device_role role;
	/* Of DEVICE_OTHER_MOUNT; and of what got the number of one, which that mount had before: */
	pid_t server;    /* the daemon; 0: not seen from here */
	uint64_t source; /* the tmpfs of the mount's root */
};

struct devices {
	GArray *set; /* of struct device, ascending; copies share it, so that it is never changed */
	unsigned generation; /* moves whenever the set does: rows read before may lack some */
	uint64_t shm;        /* the tmpfs of the mount's root */
	uint64_t internal;   /* the main one: what small pages come from */
};

/* A file as a mapping or a descriptor shows it. */
struct file_seen {
	uint64_t dev, ino;
	const char *name; /* "/memfd:x (deleted)"; looked at on a DEVICE_INTERNAL only */
	bool private;     /* a private mapping */
	uint32_t ipc_ns;  /* of the process; 0: the daemon's own. Matters for System V only */
};

/*
 * 0, or a negative errno: the kernel gave no memfd to learn its device from; nothing is to be
 * cleared.
 */
int devices_init(struct devices *devices, uint64_t shm_dev);

/* Another owner of the same set; each ends with devices_clear(). */
struct devices devices_copy(const struct devices *devices);
void devices_clear(struct devices *devices);

/*
 * Says that the caller sees a file system with this number now. Adding one that is known changes
 * nothing, unless it is a mount of another daemon, whose number has been given away again.
 */
void devices_add(struct devices *devices, uint64_t dev, enum device_role role);

/*
 * Makes these (of struct device, each a DEVICE_OTHER_MOUNT) the only mounts of other daemons. The
 * set stays as it is where they are the same as before. A mount that is new takes its number from a
 * tmpfs that had it; one that devices_add() has found to be gone stays out.
 */
void devices_set_other_mounts(struct devices *devices, const GArray *mounts);

enum device_role devices_role(const struct devices *devices, uint64_t dev);

/* Finds the segment of a file. False if it is none: on another device, or private memory. */
bool devices_identify(const struct devices *devices, const struct file_seen *file,
	struct segment_key *key);

/*
 * The inode number that the mount reports for a segment, and back. A file of the tmpfs of the
 * mount's root has its own; the others have a class in the top four bits, which no tmpfs inode
 * number reaches. False if no segment has that number.
 */
uint64_t devices_mount_ino(const struct devices *devices, const struct segment_key *key);
bool devices_of_mount_ino(const struct devices *devices, uint64_t ino, struct segment_key *key);

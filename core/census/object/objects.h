/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object side of the census: what the kernel counts for each segment's file, whichever process,
 * socket or device has it, and which segments there are, whether any process has them or not.
 *
 * A pass looks at all inodes twice, before and after the processes are read, and takes the smaller
 * count: a path walk in progress counts as a reference for its moment. What is in the table was so
 * at an instant of the pass. The references of the daemon's own descriptors are left out.
 *
 * Threads: objects_look(), objects_look_sysv() from any thread; a pass is alone with the table,
 * and between passes any number of threads may read it.
 */
#pragma once

#include "census/counts/devices.h"
#include "census/object/records.h"

#include <stdbool.h>

struct objects;

/* A segment's file, as the last pass found it. */
struct object {
	struct segment_key key; /* `ns` is not known: 0 for every System V segment */
	uint64_t inode;         /* its address in the kernel: never to be shown */
	uint32_t generation;
	uint32_t nlink;
	uint32_t references; /* open files that refer to it; System V: less the segment's own */
	uint32_t served; /* what the daemon has open, but for O_PATH; `references` leaves it out */
	uint64_t allocated, swapped; /* bytes */
	bool huge;                   /* of huge pages */
	bool mapped;
	bool in_root; /* has a name in the root directory of its file system */
	bool moved;   /* the two looks did not find the same: `references` is the smaller */
	guint detail; /* private to objects.c */
};

/*
 * Loads the programs and sees that the kernel counts as expected. A negative errno if not, with one
 * line in `why` that lives for ever. `leave_out_self`: the daemon's own descriptors do not count.
 */
int objects_open(bool leave_out_self, struct objects **out, const char **why);
void objects_free(struct objects *objects);

/*
 * The two looks of a pass, at the file systems of these devices. 0 or a negative errno: then the
 * table is empty. A device that has no tmpfs or hugetlbfs behind it is left out.
 */
int objects_begin(struct objects *objects, const struct devices *devices);
int objects_end(struct objects *objects, const struct devices *devices);

/* NULL if there is none. The result is valid until the next pass. System V: by inode alone. */
const struct object *objects_find(const struct objects *objects, const struct segment_key *key);
const struct object *objects_find_inode(const struct objects *objects, uint64_t inode);

size_t objects_count(const struct objects *objects);
const struct object *objects_at(const struct objects *objects, size_t index);

/*
 * What stat(2) would tell, and the name as the kernel has it ("memfd:x"), of one that has no name in
 * the root directory of its file system. NULL for the others.
 */
const struct seen_detail *objects_detail(const struct objects *objects,
	const struct object *object);

/*
 * What each tmpfs of the machine takes, in every mount namespace, and the kernel's own mount: appends a
 * struct tmpfs_sum for each, once. Between passes, from one thread at a time. 0 or a negative errno.
 */
struct tmpfs_sum {
	uint64_t dev;               /* st_dev */
	uint64_t resident, swapped; /* bytes */
};
int objects_sums(struct objects *objects, GArray *out);

/*
 * One file as it is now, without a pass: of a descriptor (O_PATH) of the caller's, which counts as a
 * reference; and of a System V segment of the namespace that the calling thread is in. -EAGAIN if
 * that could not be told without waiting.
 */
int objects_look(struct objects *objects, int fd, struct seen_object *out);
int objects_look_sysv(struct objects *objects, int shmid, struct seen_object *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object side of the census reads what the kernel counts for each segment's file, whichever
 * process, socket or device has it, and which segments there are, whether any process has them or
 * not.
 *
 * A pass looks at all inodes twice, before and after the processes are read, and takes the smaller
 * count, because a path walk in progress holds a reference for a moment. What is in the table was
 * so at an instant of the pass. The references of the daemon's own descriptors are left out.
 *
 * Threads: objects_look(), objects_look_sysv() from any thread; during a pass nothing else uses the
 * table, and between passes any number of threads may read it.
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
	uint32_t served;     /* open files of the daemon, but for O_PATH; not in `references` */
	uint64_t allocated, swapped; /* bytes */
	bool huge;                   /* of huge pages */
	bool mapped;
	bool in_root; /* has a name in the root directory of its file system */
	bool moved;   /* the two looks differ: `references` is the smaller */
	guint detail; /* private to objects.c */
};

/*
 * Loads the programs and checks that the kernel counts as expected. A negative errno if not, with
 * one line in `why` that is never freed. `leave_out_self`: the daemon's own descriptors do not
 * count.
 */
int objects_open(bool leave_out_self, struct objects **out, const char **why);
void objects_free(struct objects *objects);

/*
 * Take the first and the second look of a pass, at the file systems of these devices. 0 or a
 * negative errno: then the table is empty. A device that has no tmpfs or hugetlbfs behind it is
 * left out.
 */
int objects_begin(struct objects *objects, const struct devices *devices);
int objects_end(struct objects *objects, const struct devices *devices);

/*
 * Return an object, or NULL if there is none, valid until the next pass. System V segments are
 * found by inode alone.
 */
const struct object *objects_find(const struct objects *objects, const struct segment_key *key);
const struct object *objects_find_inode(const struct objects *objects, uint64_t inode);

size_t objects_count(const struct objects *objects);
const struct object *objects_at(const struct objects *objects, size_t index);

/*
 * Returns what stat(2) would tell, and the kernel's name ("memfd:x"), of an object without a name
 * in the root directory of its file system; NULL for the others.
 */
const struct seen_detail *objects_detail(const struct objects *objects,
	const struct object *object);

/*
 * Read one file as it is now, without a pass: that of a descriptor (O_PATH) of the caller's, which
 * counts as a reference; or that of a System V segment of the IPC namespace that the calling thread
 * is in. -EAGAIN if that could not be done without waiting.
 */
int objects_look(struct objects *objects, int fd, struct seen_object *out);
int objects_look_sysv(struct objects *objects, int shmid, struct seen_object *out);

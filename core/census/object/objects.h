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
#include "census/object/object.h"
#include "census/object/quiet.h"
#include "census/object/records.h"

#include <stdbool.h>

struct objects;

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
 * left out. `facts`: the second look keeps the facts of what nothing uses, and of all others
 * whether they are shown.
 */
int objects_begin(struct objects *objects, const struct devices *devices);
int objects_end(struct objects *objects, const struct devices *devices, bool facts);

/* Frees what a pass has found: the table is empty until the next one. */
void objects_forget(struct objects *objects);

/*
 * Find an object: false, or NULL, if there is none. What is returned is valid until the next pass.
 * System V segments are found by inode alone, and those that nothing uses by key alone.
 */
bool objects_find(const struct objects *objects, const struct segment_key *key, struct object *out);
const struct object *objects_find_inode(const struct objects *objects, uint64_t inode);

/* All objects but those that nothing uses; and these. */
size_t objects_count(const struct objects *objects);
const struct object *objects_at(const struct objects *objects, size_t index);
const struct quiet_list *objects_quiet(const struct objects *objects);

/*
 * Returns the facts of those of one device that nothing uses, in no order, and how many there are.
 * NULL: the last pass was not asked for facts, or has none of that device.
 */
const struct quiet_fact *objects_facts(const struct objects *objects, uint64_t dev, size_t *n);

/* Tells what stat(2) would of one of these, and one of its names; -ENOENT if it is gone. */
int objects_describe(struct objects *objects, uint64_t dev, const struct quiet_fact *fact,
	struct seen_detail *out);

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

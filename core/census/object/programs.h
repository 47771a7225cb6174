/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads the BPF programs that read inodes, and runs them.
 *
 * Threads: object_programs_look(), object_programs_look_sysv() and object_programs_describe() from
 * any thread at any time; the others from one thread at a time.
 */
#pragma once

#include "census/object/records.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct object_programs;

/*
 * Loads the programs. A negative errno if the kernel refuses them, with one line in `why` that is
 * never freed.
 */
int object_programs_load(struct object_programs **out, const char **why);
void object_programs_free(struct object_programs *programs);

/* What a walk found; it belongs to the programs, valid until the next walk. */
struct object_list {
	const struct seen_object *at;
	size_t count;
	const struct seen_detail *details; /* see seen_object.detail */
	size_t n_details;
	/* Those that nothing uses, and what they take together. */
	const struct quiet_object *quiet;
	size_t n_quiet;
	uint64_t quiet_blocks, quiet_swapped; /* of 512 bytes; pages */
	bool facts; /* there are facts of each of these, in the same order, from this index on: */
	size_t first_fact; /* in object_programs_facts() */
};

/* What a walk is to list, besides. */
enum walk_also {
	WALK_WHOLE = 1 << 0, /* what nothing uses as the others */
	WALK_FACTS = 1 << 1, /* facts of what nothing uses, and OBJECT_SHOWN of all others */
};

/*
 * Lists all inodes of the file system with that st_dev, or of the one that `fd` is on if `dev` is
 * 0. `fd` is on a file system of the same type. `also`: enum walk_also; for a lack of memory there
 * may be no facts. -ENODEV if there is none; -EAGAIN if inodes were taken off the list during every
 * try; another negative errno if the kernel refused.
 */
int object_programs_walk(struct object_programs *programs, int fd, dev_t dev, unsigned also,
	struct object_list *out);

/*
 * The facts of all walks since object_programs_drop_facts(): they are read where the kernel wrote
 * them, as a copy of millions would take as long as the walk. NULL: there are none, or they were
 * lost as the programs were loaded again.
 */
const struct quiet_fact *object_programs_facts(const struct object_programs *programs);
void object_programs_drop_facts(struct object_programs *programs);

/* Fills in what describe_inode() tells; -ENOENT if the inode is not there any more. */
int object_programs_describe(struct object_programs *programs, struct object_describe *describe);

/*
 * The list of the last walk is not needed any more. A large one, which is in the memory of this
 * process as well as of the kernel, is not for longer than it must be.
 */
void object_programs_walked(struct object_programs *programs);

/*
 * Reads the inode of the file that `fd` is open on (O_PATH will do); -EBADF if it is not open.
 * -EAGAIN, here and below, while another thread loads the programs again.
 */
int object_programs_look(struct object_programs *programs, int fd, struct seen_object *out);

/*
 * Reads the inode of a System V segment of the calling thread's IPC namespace; -ENOENT if there is
 * none.
 */
int object_programs_look_sysv(struct object_programs *programs, int shmid, struct seen_object *out);

/*
 * Lists the files of tmpfs and hugetlbfs that this process has open, one for each descriptor. The
 * list belongs to the programs, valid until the next call.
 */
int object_programs_own_files(struct object_programs *programs, const struct own_file **out,
	size_t *count);

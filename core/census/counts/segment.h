/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a segment is: the file behind it, never its name.
 *
 * Every kind of shared memory in Linux is a file of a tmpfs (or hugetlbfs): the POSIX objects one
 * of the tmpfs mounted on /dev/shm, the others one of a mount internal to the kernel, whose device
 * number memfd_create(2) shows. There a System V segment's inode number is its shmid, which may
 * equal a memfd's inode number, so that the key carries the class; and two IPC namespaces have
 * equal shmids, so that it carries the namespace too.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

enum segment_class {
	SEGMENT_FILE,  /* a file of a mounted tmpfs: a POSIX object, named or unlinked */
	SEGMENT_SYSV,  /* shmget(2); inode number = shmid */
	SEGMENT_MEMFD, /* memfd_create(2) */
	SEGMENT_ANON,  /* mmap(MAP_SHARED | MAP_ANONYMOUS), /dev/zero mapped shared */
	SEGMENT_OTHER, /* the kernel's own (graphics drivers' objects and the like) */
};

struct segment_key {
	uint64_t dev; /* st_dev of the file behind the segment; SEGMENT_SYSV: the
					  internal device, also where huge pages have another */
	uint64_t ino; /* st_ino of it */
	uint32_t ns;  /* SEGMENT_SYSV: inode number of its IPC namespace; else 0 */
	enum segment_class class;
};

/* For GHashTable: keys are `const struct segment_key *`. */
guint segment_key_hash(gconstpointer key);
gboolean segment_key_equal(gconstpointer a, gconstpointer b);

/*
 * The class of a file on the kernel's internal device, from the name of its root entry as
 * /proc/PID/maps prints it ("/SYSV00000000 (deleted)", "/memfd:x (deleted)", "/dev/zero (deleted)")
 * with or without the leading slash.
 */
enum segment_class segment_class_of_name(const char *name);

/* "posix", "sysv", "memfd", "anon", "other": the KIND column. */
const char *segment_class_name(enum segment_class class);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segments without a name: .shmtree/unlinked/ID, for unlinked POSIX objects, memfds and anonymous
 * shared memory that a process maps or holds open. The census finds them.
 *
 * The ID is KIND-NAME-INODE, or KIND-INODE where there is no name: "memfd-wayland-shm-1047",
 * "posix-psm_4f2a-93", "anon-1048". KIND is "posix", "memfd", "anon" or "other" (the kernel's own
 * objects, of graphics drivers for instance), with "huge" before it for huge pages, whose inodes
 * are numbered apart. NAME is the last one it had, with all but letters, digits and `._+:@%` as
 * `_`, and cut where a file name would become too long. The inode number is the same as long as the
 * segment lives, and the name of a file that has been unlinked does not change, so the ID does not
 * either.
 *
 * An unlinked object has its own owner and mode. A memfd never had a name by which a process could
 * open it, so that its mode, usually 0777, was never meant to give access: only the owner's bits
 * count. Anonymous memory belongs to the user who made it, with mode 0600. Moreover both are memory
 * of processes: only a caller that the kernel would give access through a process that uses it may
 * open it, by the descriptors of a process that holds it (/proc/PID/fd) or the memory of one that
 * maps it (/proc/PID/mem).
 */
#pragma once

#include "kinds/kind.h"

extern const struct kind kind_unlinked;

/* Writes the ID of a segment with that name (raw bytes, may be empty). Pure. */
void unlinked_format_id(const struct segment_key *key, bool huge, const char *name,
	char id[NAME_MAX + 1]);

/*
 * What an ID tells by itself: class and inode number. False if it cannot be one. Pure.
 */
bool unlinked_parse_id(const char *id, enum segment_class *class, bool *huge, uint64_t *ino);

/*
 * The name proper in what the kernel shows for the file: without the directory of an object, the
 * prefix of a memfd and " (deleted)"; nothing for anonymous memory. Pure.
 */
void unlinked_name(enum segment_class class, const char *shown, char name[NAME_MAX + 1]);

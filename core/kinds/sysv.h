/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System V shared memory: .shmtree/sysv/SHMID.
 *
 * What the daemon changes. Listing and metadata change nothing. Opening the bytes needs a mapping
 * for an instant, because there is no other way to the file of a System V segment: one shmat() and
 * one shmdt() for each open(2) of `data`. Meanwhile nattch is one more, and afterwards as before;
 * atime and dtime become the current time, lpid the daemon's. Later reads, writes and mappings
 * through the open file change none of these.
 *
 * An open `data` holds the memory, not the segment: nattch does not count it, and a segment that is
 * removed while `data` is open is gone from every list, although its bytes live on for that reader.
 */
#pragma once

#include "kinds/sysvipc.h"

#include <sys/shm.h>

/* The segment is destroyed with its last attachment; linux/shm.h. */
#define SYSV_DEST 01000

struct sysv_segment {
	struct sysvipc_item ipc;
	pid_t creator, last; /* 0: none */
	uint64_t nattch;
	int64_t dtime; /* seconds; 0: never */
	/* SYSV_DEST, SHM_LOCKED, SHM_HUGETLB, SHM_NORESERVE, as the kernel shows them. */
	unsigned flags;
};

extern const struct kind kind_sysv;

/* What kind_sysv.each() does, from the text of /proc/sysvipc/shm. Pure. */
int sysv_parse(const struct realm *realm, const char *text, item_visitor visit, void *data);

/*
 * "KEY:SIZE" as mkdir(2) takes it: a hexadecimal (0x…) or decimal key of 32 bits or "private", a
 * decimal size in bytes or with K, M, G (powers of 1024). False for anything else.
 */
bool sysv_parse_spec(const char *spec, key_t *key, size_t *size);

/* kind_sysv.permit: what shmat(2) would say. */
int sysv_permit(const struct realm *realm, const struct item *item, const struct caller *caller,
	int want);

/* kind_sysv.look: what the kernel counts on the segment's file. */
int sysv_look(const struct realm *realm, const struct item *item, bool wait,
	struct object_now *out);

/* kind_sysv.create, .change and .remove, with the rights of the caller (sysv-change.c). */
int sysv_create(const struct realm *realm, const char *spec, mode_t mode,
	const struct caller *caller, struct item **out);
int sysv_change(const struct realm *realm, const char *id, const struct item_change *change,
	const struct caller *caller);
int sysv_remove(const struct realm *realm, const char *id, const struct caller *caller);

/* kind_sysv.open */
int sysv_open(const struct realm *realm, const struct item *seen, struct item_file *out);

/* Fills in a segment from the result of shmctl(). */
void sysv_from_ds(const struct realm *realm, int shmid, const struct shmid_ds *ds,
	struct sysv_segment *out);

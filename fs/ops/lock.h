/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks taken through the mount, seen by those taken outside it, and the other way round.
 *
 * Each lock owner that the kernel names (a process's descriptor table for fcntl(2) record locks,
 * an open file description for OFD locks and flock(2)) gets an open file description of its own on
 * the segment, and its locks are OFD locks, or flock(2), on that: OFD locks conflict with record
 * locks and with one another as record locks do, and closing the descriptor drops them all.
 *
 * A lock that cannot be had at once is waited for by a thread of its own, so that it holds up no
 * other request; the signal that ends the caller's wait ends the thread's.
 *
 * What cannot be: a deadlock among record locks is not detected (OFD locks have no detection), and
 * F_GETLK *outside* the mount reports -1, an OFD lock, for the holder of a lock taken through it, as it does
 * inside where a segment has more than 64 owners. One owner takes one descriptor, charged to its user:
 * -ENOLCK beyond what charge.h allows.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

#include <fuse_lowlevel.h>

struct fs;
struct handle;
struct lock_table;

/* All three reply, now or when the lock is there. `lock` is as fcntl(2) takes it, from SEEK_SET. */
void lock_get(struct fs *fs, fuse_req_t req, struct handle *handle, uint64_t owner,
	struct flock *lock);
void lock_set(struct fs *fs, fuse_req_t req, struct handle *handle, uint64_t owner,
	const struct flock *lock, bool wait);
void lock_flock(struct fs *fs, fuse_req_t req, struct handle *handle, uint64_t owner,
	int operation);

/* close(2) by a descriptor table: its record locks on the file go, whichever descriptor it was. */
void lock_flush(struct handle *handle, uint64_t owner);

/* The last close of an open file description. The caller holds the lock of its `opened`. */
void lock_release_handle(struct lock_table *table, const struct handle *handle);

/* Only when no handle is left. */
void lock_table_free(struct lock_table *table);

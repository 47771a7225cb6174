/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements -o watch: the kernel keeps names of the root, and the root's own attributes, for
 * WATCH_SECONDS, and a thread takes back what inotify reports as changed.
 *
 * What is kept
 *
 * Names that lead to an object, never the answer that there is none: what is created is seen at
 * once. Nor the attributes of an object: they are asked for at each use, and with them whether the
 * node's own name still leads to it (node/file-ref.h). A kept name whose object is gone or another
 * one is ESTALE there, and the kernel looks it up again within the same call. So a kept name can
 * mislead, until the thread has taken it back, only
 * - where the daemon reaches the object without that name: because it is open, or was just unlinked
 *   through the mount, or has been looked up by another name since. Hence the name of an object
 *   that has several is not kept; what is left is one that had a single name when it was looked up;
 * - for a call that walks the path and asks nothing about the object, as open(2) with O_PATH does;
 * - where the kernel judges by an owner that it remembers, in a sticky directory, before it asks
 *   for the object. So a name whose object changes owner or mode is taken back too. For the same
 *   time the kernel may not see a change of the root's owner, mode, ACL or times. Its access time,
 *   and what is mounted over a name in SOURCE, inotify does not tell of: only the time bounds
 *   these.
 *
 * Why nothing gets lost
 *
 * An event comes after its change, so whatever was answered from before that is with the kernel
 * already or is still being waited for: in the latter case the notification waits for the lock on
 * the root that this caller has, or makes the kernel drop the answer. The exception is a name that
 * the kernel already has and asks about again: there the notification drops the name itself. That
 * is why a name is invalidated, not expired, wherever it may lead elsewhere. The answer to a change
 * of the root's attributes would be another exception, so it is not kept (reply.h). Where inotify
 * has lost events, the kernel drops all names at once (Linux 6.16), or else when their time is up.
 *
 * Threads
 *
 * A notification about a name takes the kernel's lock on the root. A caller may hold that lock
 * while it waits for an answer of the daemon. So the one thread that sends notifications does
 * nothing else, no thread that serves requests ever waits for it, and while it sends one, the
 * session must be served. Therefore a signal that is to end the session leaves that to the thread
 * (shutdown.h), for a moment at most, because a caller may also hold that lock for ever. The
 * session outlives the thread, or the process ends with both.
 */
#pragma once

#include "daemon/fs.h"

#define WATCH_SECONDS 1

/*
 * Begins to collect events, if the options say so. If that is not possible, prints why and sets
 * fs->watch_missing; then no names are kept, which is slower and never out of date. To be called
 * before the mount, while the daemon's messages still reach the user who starts it.
 */
void watch_open(struct fs *fs);

/*
 * Starts the thread; from then on names are kept. If that is not possible, as for watch_open(). To
 * be called after the protocol is settled.
 */
void watch_start(struct fs *fs);

/* Whether names and the root's attributes may be kept now. From any thread. */
bool watch_works(const struct fs *fs);

/* Returns how often events were lost so far. */
unsigned watch_overflows(const struct fs *fs);

/* Ends the thread, if there is one; false if it has not ended after a while. */
bool watch_stop(struct fs *fs);

/*
 * Frees what watch_open() made. To be called after watch_stop(), when no thread replies any more.
 */
void watch_free(struct fs *fs);

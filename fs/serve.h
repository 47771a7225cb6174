/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads that read requests from /dev/fuse.
 *
 * As few as possible: with several each wakes another one, and to wake a thread, on a processor that
 * has gone idle, is most of what a request costs. That is also why a reader that has had requests one
 * upon the other looks for the next one, for some microseconds, before it sleeps; unless it finds that
 * the processor is wanted.
 *
 * But a request may take long all the same: it frees gigabytes, or waits for a lock on an inode that
 * somebody makes it wait for. So each reader is watched, and one that has been at the same request for
 * a moment is relieved by another; when it comes back and is not needed, it ends.
 */
#pragma once

#include "fs.h"

/*
 * Serves with `readers` threads until the session ends: 0, or a negative errno. Sets fs->stuck if a
 * request is under way that does not come to an end.
 */
int serve(struct fs *fs, unsigned readers);

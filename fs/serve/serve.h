/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request threads: they read requests from /dev/fuse and answer them.
 *
 * As few as possible: with several, each wakes another one, and to wake a thread on a processor
 * that has gone idle is most of what a request costs.
 *
 * But a request may take long all the same: it frees gigabytes, or waits for the lock on an inode
 * that another process holds. So the main thread watches the request threads, and relieves one that
 * has been at the same request for a moment by another; when it is done and not needed, it ends.
 */
#pragma once

#include "daemon/fs.h"

/*
 * Serves with `readers` threads until the session ends: 0, or a negative errno. Sets fs->stuck if a
 * request thread does not come to an end.
 */
int serve(struct fs *fs, unsigned readers);

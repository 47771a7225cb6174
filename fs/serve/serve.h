/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the request threads, which read requests from /dev/fuse and answer them.
 *
 * There are as few as possible: with several, each wakes another one, and waking a thread on an
 * idle processor is most of what a request costs.
 *
 * But some requests take long: they free gigabytes, or wait for the lock on an inode that another
 * process holds. So the main thread watches the request threads. If one has been at the same
 * request for a moment, it lets another one take its place; when the first one is done and is not
 * needed, it ends.
 */
#pragma once

#include "daemon/fs.h"

/*
 * Serves with `readers` threads until the session ends: 0, or a negative errno. Sets fs->stuck if a
 * request thread does not come to an end.
 */
int serve(struct fs *fs, unsigned readers);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dead mount: its daemon was killed, its objects are the kernel's, and every look at it fails.
 *
 * A new mount takes its place with no instant at which programs see the directory below and write into
 * that: it comes beneath the dead one (Linux 6.5), and then that goes. Who comes before gets ENOTCONN,
 * who comes after is served.
 */
#pragma once

#include "daemon/fs.h"

/*
 * Whether the mount on `path` is dead. Then `*real` is the path without symbolic links, for the caller
 * to free with g_free().
 */
bool dead_mount_find(const char *path, char **real);

/*
 * Keeps other daemons from replacing a dead mount at the same time, for they would take ours for it.
 * Returns a descriptor, whose close(2) ends that; or a negative errno where there is nothing to lock.
 */
int dead_mount_lock(void);

/*
 * Mounts in place of the dead mount on the session's mount point. Returns the descriptor of /dev/fuse,
 * the caller's to close, or a negative errno, and then nothing has changed: of fsopen(2), fsconfig(2),
 * fsmount(2) or move_mount(2); -EOPNOTSUPP with options that only libfuse knows. To be called before
 * libfuse is given options of the daemon's own.
 */
int dead_mount_replace(const struct fs *fs);

/* Unmounts what is mounted there by fusermount3(1), for a user who may not. */
bool unmount_by_helper(const char *path);

/* Detaches it. 0, or -1 after one line on stderr. */
int dead_mount_clear(const char *path);

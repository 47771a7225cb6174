/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FUSE passthrough: a file registered with the kernel, which then serves read, write and mmap of
 * every open file that names the registration. linux/fuse.h of Linux 6.9, FUSE_DEV_IOC_BACKING_*.
 */
#pragma once

struct fs;

/*
 * A backing id (> 0) for the file behind `fd`, or a negative errno. The kernel opens that file for
 * each opener with the credentials this thread has now: call it as the daemon itself.
 */
int passthrough_register(struct fs *fs, int fd);
void passthrough_unregister(struct fs *fs, int backing_id);

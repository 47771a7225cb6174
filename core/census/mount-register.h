/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The register of mounts: which mounts there are, of which tmpfs each is, and which daemon serves it.
 *
 * What a program maps or opens through a mount has that mount's device number in /proc. A daemon
 * knows its own mount; this register tells it the others: one file, without content, in which each
 * daemon locks the byte whose number stands for the device of its SOURCE and that of its mount. The
 * kernel gives up the lock of a daemon that has ended, however it did, and tells its pid. Only root
 * can open the file, so that nobody else can have a file system of theirs taken for such a mount.
 *
 * Threads: any, one at a time.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct mount_register;

/*
 * Opens the file, and makes it and its directory if need be. `source_dev` is the st_dev of the
 * tmpfs that the mounts show. The caller ends the register with mount_register_close(), which takes
 * its own mount out. A negative errno of mkdir(2) or open(2).
 */
int mount_register_open(const char *path, uint64_t source_dev, struct mount_register **out);
void mount_register_close(struct mount_register *mounts); /* NULL: does nothing */

/* Enters this process's mount. A negative errno of fcntl(2); -EINVAL: no device of a mount. */
int mount_register_add(struct mount_register *mounts, uint64_t mount_dev);

/*
 * Shows `visit` the mounts that other processes serve, of any tmpfs (`source_dev`), in no order.
 * `server` is 0 if that process is in no PID namespace that the caller sees. A negative errno of
 * fcntl(2).
 */
int mount_register_each(struct mount_register *mounts,
	void (*visit)(uint64_t mount_dev, uint64_t source_dev, pid_t server, void *data),
	void *data);

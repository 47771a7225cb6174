/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths of open files, and opening a file anew from a descriptor (O_PATH or not). */
#pragma once

/* "/proc/self/fd/N", for system calls that take only a path. */
struct fd_path {
	char text[32];
};
struct fd_path fd_path(int fd);

/*
 * Opens the file behind `fd` (O_PATH will do) for reading. Never blocks: -EWOULDBLOCK if another
 * process holds a write lease on it. Returns a descriptor, which the caller closes, or a negative
 * errno.
 */
int fd_reopen(int fd);

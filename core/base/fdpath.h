/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way from a descriptor, of whatever sort, to the file behind it. */
#pragma once

/* "/proc/self/fd/N", for the calls that take only a path. */
struct fd_path {
	char text[32];
};
struct fd_path fd_path(int fd);

/*
 * Opens the file behind `fd` (O_PATH will do) for reading. Never blocks: a write lease that another
 * process holds is -EWOULDBLOCK. Returns a descriptor, which the caller closes, or a negative errno.
 */
int fd_reopen(int fd);

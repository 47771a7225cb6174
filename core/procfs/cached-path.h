/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Opens a path as a process with that root directory would, but without asking any file system: one
 * that the path leads through, or an overlay of it, may never answer. The kernel keeps in memory
 * whatever leads to a mount point. `flags` as of open(2); the result has O_CLOEXEC. A descriptor that
 * the caller closes, or a negative errno: -EOPNOTSUPP where the kernel would have to ask.
 */
int cached_path_open(int root, const char *path, int flags);

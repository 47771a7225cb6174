/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is mounted where, from /proc/self/mountinfo: to ask the mount point itself would be to ask
 * the file system on it, which may be this one, or dead.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mount {
	uint64_t dev;    /* as st_dev */
	char fstype[64]; /* "fuse.shmtree" */
};

/*
 * The topmost mount whose mount point is `path` (absolute, no symbolic links). Returns 1, 0 if
 * none is, or a negative errno.
 */
int mountinfo_find(const char *path, struct mount *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is mounted where, from the tables of procfs: to ask the mount point itself would be to ask
 * the file system on it, which may be this one, or dead.
 */
#pragma once

#include <stdint.h>

struct mount {
	uint64_t dev;    /* as st_dev */
	char fstype[64]; /* "fuse.shmtree" */
};

/*
 * Calls `visit` for each line of the text of a mountinfo file that is one: later ones are mounted on
 * top of earlier ones. `point` is unescaped, and valid during the call. Pure.
 */
void mountinfo_each(const char *text,
	void (*visit)(const char *point, const struct mount *mount, void *data), void *data);

/*
 * The topmost mount whose mount point in our own /proc/self/mountinfo is `path` (absolute, no symbolic links). Returns 1, 0 if
 * none is, or a negative errno.
 */
int mountinfo_find(const char *path, struct mount *out);

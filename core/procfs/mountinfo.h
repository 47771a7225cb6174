/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is mounted where, from the mount tables of procfs. A system call on the mount point would
 * ask the file system that is mounted there, which may be this daemon's own or not answer.
 */
#pragma once

#include <stdint.h>

struct mount {
	uint64_t dev;    /* as st_dev */
	char fstype[64]; /* "fuse.shmtree" */
	char root[64];   /* which directory or file of it is mounted: "/", "ipc:[4026531839]" */
};

/*
 * Calls `visit` for each well-formed line of the text of a mountinfo file: later mounts are on top
 * of earlier ones. `point` is unescaped, and valid during the call. Pure.
 */
void mountinfo_each(const char *text,
	void (*visit)(const char *point, const struct mount *mount, void *data), void *data);

/*
 * Finds the topmost mount whose mount point in our own /proc/self/mountinfo is `path` (absolute, no
 * symbolic links). Returns 1; 0 if there is none; or a negative errno.
 */
int mountinfo_find(const char *path, struct mount *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A procfs as it might have been, made of files in a temporary directory. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

struct recorded {
	char *path;   /* of the directory, to be read as a procfs */
	uint64_t dev; /* of the file system it is on */
};

/* One without processes but for kthreadd, which a procfs of the whole machine shows. */
void recorded_init(struct recorded *recorded);
void recorded_remove(struct recorded *recorded);

/* A file or a symbolic link in it, with the directories above it. */
void recorded_file(const struct recorded *recorded, const char *path, const char *text);
void recorded_link(const struct recorded *recorded, const char *path, const char *target);
void recorded_drop(const struct recorded *recorded, const char *path);

/* The stat and status files of a process or thread ("7", "7/task/9"). `flags` are PF_*. */
void recorded_task(const struct recorded *recorded, const char *path, const char *command,
	char state, unsigned flags, uint64_t start_time, uid_t uid);

/* A living process with these mappings. */
void recorded_process(const struct recorded *recorded, pid_t pid, const char *maps);

/* A line for its maps. */
char *recorded_map(uint64_t start, const char *perms, uint64_t dev, uint64_t ino, const char *name);

/* A descriptor of it: the target must be a path that can be followed. `flags` as in fdinfo. */
void recorded_descriptor(const struct recorded *recorded, pid_t pid, int fd, const char *target,
	const char *flags);

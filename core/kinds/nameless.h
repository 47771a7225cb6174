/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens a file without a name through a process that maps it or has it open, under
 * /proc/PID/map_files or /proc/PID/fd. What is found there is accepted only if device, inode number
 * and class agree with the key, since the process may have unmapped or closed the file meanwhile.
 *
 * A segment that only readers of the mount still use is reached through the daemon's own
 * descriptors, which belong to those readers' open files.
 */
#pragma once

#include "kinds/kind.h"

/* The name that the kernel shows for a file ("/dev/shm/x (deleted)", "/memfd:x (deleted)"). */
#define FILE_NAME_SIZE 4096

/*
 * Looks at a descriptor (O_PATH) of the segment, `name` being what the kernel shows for it: accept
 * it, try the next process's, or stop, as no other would be better.
 */
enum nameless_verdict { NAMELESS_ACCEPT, NAMELESS_NEXT, NAMELESS_STOP };
typedef enum nameless_verdict (*nameless_judge)(int fd, const char *name, void *data);

/*
 * Opens the segment (O_PATH) by way of a process that uses it: the first descriptor that `judge`
 * (NULL: any) accepts, which the caller closes. -ENOENT if there is none. The census is held, with
 * both facets for a complete search.
 */
int nameless_open(const struct realm *realm, const struct segment_key *key, nameless_judge judge,
	void *data);

/*
 * Opens a file of a tmpfs (O_PATH) that no process has, by the handle that name_to_handle_at(2)
 * gives: the kernel finds one only of a file of which it has given the handle before. A negative
 * errno otherwise. The caller closes it. Needs CAP_DAC_READ_SEARCH.
 */
int nameless_open_by_handle(const struct realm *realm, const struct segment_key *key,
	uint64_t generation);

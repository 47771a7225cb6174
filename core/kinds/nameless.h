/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to a file without a name: through a process that maps it or has it open, under
 * /proc/PID/map_files or /proc/PID/fd. What is found there is believed only as far as device, inode
 * number and class agree with the key, since the process may have moved on.
 *
 * A segment that nobody but readers of the mount uses any more is reached through the daemon's own
 * descriptors, which those readers' open files hold.
 */
#pragma once

#include "kinds/kind.h"

/* The name that the kernel shows for a file ("/dev/shm/x (deleted)", "/memfd:x (deleted)"). */
#define FILE_NAME_SIZE 4096

/*
 * Looks at a descriptor (O_PATH) of the segment: whether it is the one, or to go on with another
 * witness's, or whether no other would be.
 */
enum witness_verdict { WITNESS_ACCEPT, WITNESS_NEXT, WITNESS_STOP };
typedef enum witness_verdict (*witness_judge)(int fd, const char *name, void *data);

/*
 * An O_PATH descriptor of the segment, from the first witness that `judge` (NULL: any) accepts.
 * -ENOENT if there is none. The census is held, with both facets for a complete search.
 */
int witness_find(const struct realm *realm, const struct segment_key *key, witness_judge judge,
	void *data);

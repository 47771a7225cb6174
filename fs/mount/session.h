/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounts, serves the mount, and unmounts. */
#pragma once

#include "daemon/fs.h"

/*
 * Creates the session and mounts it, in place of a dead mount if there is one. 0, or -1 after one
 * line on stderr.
 */
int session_mount(struct fs *fs);

/*
 * Serves requests until the mount is unmounted or a signal ends the session. Returns the exit
 * status.
 */
int session_serve(struct fs *fs);

/* Unmounts, if it still is mounted, and frees the session. */
void session_end(struct fs *fs);

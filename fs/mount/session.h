/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mount itself: what may prevent it, serving it, and its end. */
#pragma once

#include "daemon/fs.h"

/* 0, or -1 after one line on stderr about what prevents the mount. Clears away a dead one. */
int session_check(struct options *options);

/* Creates the session and mounts it; likewise. */
int session_mount(struct fs *fs);

/* Serves until it is unmounted or a signal says to end: the exit status. */
int session_serve(struct fs *fs);

/* Unmounts, if it still is mounted, and frees the session. */
void session_end(struct fs *fs);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On whose behalf the daemon acts. */
#pragma once

#include <sys/types.h>

/* The user and group of a request, and the process that made it (0: not known). */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

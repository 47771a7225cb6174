/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes of another user, and what the calling thread itself is. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define SOMEBODY 54321

/* What the thread is, as procfs tells it: its ids, groups and capabilities. */
char *own_credentials(void);

/* For a child: becomes SOMEBODY, in that group as well, or ends. */
void become_somebody(gid_t group);

/* Root may, where its user namespace has that user and lets the groups be set. */
bool may_become_somebody(void);

#define NEED_SOMEBODY()                                                                            \
	do {                                                                                       \
		if (!may_become_somebody())                                                        \
			SKIP("processes may not become another user's here");                      \
	} while (0)

/* A process that change() has made what it is, which returns false if it could not; until the pipe is closed. */
pid_t start_changed(bool (*change)(const void *data), const void *data, int *keep);

/* A process of SOMEBODY with one more group, likewise. */
pid_t start_somebody(gid_t group, bool dumpable, int *keep);

/* Closes it, and checks that nothing went wrong in the process. */
void end_somebody(pid_t pid, int keep);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX message queues: .shmtree/mqueue/NAME.
 *
 * The queues of an IPC namespace are files of a file system that need not be mounted anywhere. With
 * the right to mount, the daemon makes an instance that is attached to no directory; without, it
 * takes one that the mount table shows.
 *
 * What waits in a queue, and who is told of it, is for those who may read the queue, as where its
 * file system is mounted: -EACCES for others.
 */
#pragma once

#include "kinds/kind.h"

extern const struct kind kind_mqueue;

/* What the file of a queue says. */
struct mqueue_text {
	uint64_t bytes;   /* in all messages that wait */
	pid_t notify_pid; /* who asked to be told of the next message; 0: nobody */
};

/* "QSIZE:129 NOTIFY:2 SIGNO:0 NOTIFY_PID:8260". False for anything else. Pure. */
bool mqueue_parse(const char *text, struct mqueue_text *out);

/* The place of the first mqueue file system in a mount table (/proc/self/mountinfo), or NULL. Pure. */
char *mqueue_find_mount(const char *mountinfo);

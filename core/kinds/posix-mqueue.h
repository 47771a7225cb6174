/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX message queues: .shmtree/mqueue/NAME.
 *
 * The queues of an IPC namespace are files of a file system that need not be mounted anywhere. A
 * daemon with the right to mount makes an instance that is attached to no directory; any other uses
 * one that the mount table shows.
 *
 * How much waits in a queue, and which process is notified, is shown only to callers that may read
 * the queue, as where its file system is mounted: -EACCES for others.
 */
#pragma once

#include "kinds/kind.h"

extern const struct kind kind_mqueue;

/* The content of a queue's file. */
struct mqueue_text {
	uint64_t bytes;   /* in all messages that wait */
	pid_t notify_pid; /* the process that asked to be notified of the next message; 0: none */
};

/* "QSIZE:129 NOTIFY:2 SIGNO:0 NOTIFY_PID:8260". False for anything else. Pure. */
bool mqueue_parse(const char *text, struct mqueue_text *out);

/*
 * Finds the first mqueue file system in a mount table (/proc/self/mountinfo): its path, to be
 * freed, or NULL. Pure.
 */
char *mqueue_find_mount(const char *mountinfo);

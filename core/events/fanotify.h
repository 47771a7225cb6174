/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fanotify group that is told what happens to the files of one tmpfs, by any process. */
#pragma once

#include "events/fanotify-records.h"

/* Room for some hundred records. */
#define FANOTIFY_BUFFER (64 * 1024)

struct fanotify_group {
	int fd; /* of the group; -1: closed. poll(2) says when there is something to read */
	uint8_t source[TMPFS_HANDLE_BYTES]; /* the handle of the directory */
};

/*
 * Begins to listen to the tmpfs that the directory is in. Needs CAP_SYS_ADMIN and Linux 5.17. 0 or a
 * negative errno, with one line in `why`, a static string. The kernel keeps as many records as
 * /proc/sys/fs/fanotify/max_queued_events says, and then tells that some are lost.
 */
int fanotify_open(struct fanotify_group *out, int directory, const char **why);
void fanotify_close(struct fanotify_group *group);

/* Reads what there is, up to the size of the buffer: bytes, 0 for nothing, or a negative errno. */
ssize_t fanotify_read(const struct fanotify_group *group, uint8_t buffer[FANOTIFY_BUFFER]);

/* Whether that is the directory. */
bool fanotify_is_source(const struct fanotify_group *group, const struct file_id *id);

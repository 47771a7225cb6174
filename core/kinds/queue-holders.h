/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds the processes that have a POSIX message queue open, by a look at all their descriptors. */
#pragma once

#include "kinds/kind.h"

/* A queue's file: its file system has no rename, so that its name is the last part of each path. */
struct queue_file {
	uint64_t dev, ino; /* st_dev, st_ino */
	const char *name;
};

/* show() and json() of the attribute `holders`. */
int queue_holders_show(const struct view *view, const struct queue_file *file, GString *out);
int queue_holders_json(const struct view *view, const struct queue_file *file, const char *name,
	struct json *json);

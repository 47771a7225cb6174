/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The semaphores of a System V set: value, waiting threads, and the process that changed each last,
 * for those who may read the set.
 */
#pragma once

#include "kinds/kind.h"

/* `then`: when one was changed last, in seconds since 1970. -EACCES as semctl(2) gives it to the caller. */
struct semaphore_set {
	int id;
	unsigned count;
	int64_t then;
};
int semaphores_show(const struct view *view, const struct semaphore_set *set, GString *out);
int semaphores_json(const struct view *view, const struct semaphore_set *set, const char *name,
	struct json *json);

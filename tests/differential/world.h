/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The directories under comparison, and the processes at work in them. */
#pragma once

#include <sys/vfs.h>

#include "executor.h"

#define MAX_NAMES 20

/* The driver's own view of a directory. */
struct view {
	const char *label;
	int dir;
	int err[MAX_NAMES]; /* by name: 0 or the errno of stat */
	struct statx st[MAX_NAMES];
	struct statfs fs;
};

struct world {
	struct side native, mount, behind;
	struct view native_view, mount_view, behind_view;
	struct executor *native_executors[ACTORS], *mount_executors[ACTORS];
	char waiting[64]; /* file with the number of requests that the daemon has not answered */
	unsigned settle_limit; /* milliseconds that the two sides have to become equal */
};

/* Opens the directories. Ends the program if one of them cannot be opened. */
void world_open(struct world *, const char *native, const char *mount, const char *behind,
	bool no_mmap);
void world_close(struct world *);

/* Makes both directories as good as new. */
void world_reset(struct world *);

/* The executors of an actor, started when first asked for. */
struct executor *world_native(struct world *, unsigned actor);
struct executor *world_mount(struct world *, unsigned actor);

/* Kills one actor's executors, or all. */
void world_kill(struct world *, unsigned actor);
void world_kill_all(struct world *);

/*
 * Waits until the daemon has answered all requests. The kernel sends some when nobody waits for
 * their answer: the close(2) of the last descriptor is over before the daemon hears of it.
 */
void world_quiesce(struct world *);

/* Fills the view with what stat and statfs say now. */
void view_take(struct view *);

/* The number of the actor with that process on that side; -1: none. */
int world_actor_of(struct world *, bool is_mount, pid_t pid);

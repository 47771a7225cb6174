/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attribute `last`: which process used a segment last.
 *
 * Of a System V segment the kernel notes the pid of the process that attached or detached it last,
 * and when. Of the others, and of what a process was, the census remembers what its passes saw
 * (counts/past.h).
 *
 * A live process is shown to callers that may see its rows in `mappers`. For a dead one this cannot
 * be asked any more: it is shown to callers that see every process, and to its own user if that
 * user could read its memory while it lived; never to a confined caller (caller/sight.h).
 */
#pragma once

#include "kinds/kind.h"
#include "procfs/cgroup.h"

struct last_user {
	pid_t pid; /* 0: none is known */
	char command[16];
	const char *
		state; /* "alive", "dead", "none"; "unknown": procfs could not be read for the moment */
	bool known;    /* what follows, but for `until` */
	bool hidden;   /* there is one that the caller does not see */
	uint64_t born; /* 0: not known */
	uid_t uid;
	char unit[CGROUP_UNIT_MAX];
	bool now;              /* it uses the segment now */
	struct timespec until; /* 0: not known */
};

/*
 * A search for the last users of any number of segments, as one caller may know them; what it has
 * asked of a process it does not ask again. `realm`, `caller` and `sees` (of a view, or NULL) must
 * outlive it.
 */
struct last_users *last_users_new(const struct realm *realm, const struct caller *caller,
	GHashTable *sees);
void last_users_free(struct last_users *users);

/* Finds the last user of that item. The census is held as LAST_USER_NEEDS says, all the time. */
void last_users_find(struct last_users *users, const struct item *item, struct last_user *out);

/* Adds it as the member `last`: null if none is known, so that a long list stays short. */
void last_user_format(const struct last_user *user, struct json *json);

/* For tables of kinds of segments: `last`, of a kind that notes nothing itself. */
extern const struct attribute last_user_attributes[];

/* show() and json() of `last`. Needs what the table above says. */
int last_user_show(const struct view *view, const struct attribute *self, GString *out);
int last_user_json(const struct view *view, const struct attribute *self, struct json *json);

#define LAST_USER_NEEDS (CENSUS_MAPPINGS | CENSUS_DESCRIPTORS)

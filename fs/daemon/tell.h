/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Around what the daemon does to an object for a request's caller, so that the events name the caller
 * (events/acts.h). While nobody reads events it costs a look at a flag.
 */
#pragma once

#include "daemon/identity.h"
#include "daemon/fs.h"
#include "events/events.h"

#define TELLS(type) (1u << (type))

/* `name`: of the object, or NULL; `inode`: its number, or 0 where it is known only afterwards. */
static inline struct event_act *tell_begin(fuse_req_t req, unsigned types, const char *name,
	uint64_t inode)
{
	const struct fs *fs = fs_of(req);

	if (!events_on(fs->events))
		return NULL;
	const struct caller caller = identity_caller(req);
	return events_begin(fs->events, types, name, inode, false, &caller);
}

/* `result`: negative if nothing was done. */
static inline void tell_end(fuse_req_t req, struct event_act *act, int result, uint64_t inode)
{
	if (act)
		events_end(fs_of(req)->events, act, result >= 0, inode);
}

/* The inode number behind a descriptor; 0 if it does not say. */
static inline uint64_t tell_inode_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* The same, where there is an act that needs it. */
static inline uint64_t tell_inode(const struct event_act *act, int fd)
{
	return act ? tell_inode_of(fd) : 0;
}

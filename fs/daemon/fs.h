/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's one object: what main() sets up and every request finds in fuse_req_userdata(). */
#pragma once

#include "daemon/options.h"
#include "kinds/realm.h"

#include <fuse_lowlevel.h>
#include <sys/stat.h>

/* By which the daemons of one machine know each other's mounts (census/mount-register.h). */
#define FS_MOUNT_REGISTER "/run/shmtree/mounts"

struct charges;
struct event_streams;
struct events;
struct faults;
struct node_table;
struct periodic_census;
struct shared_opens;
struct truncations;
struct turns;
struct walks;
struct workers;

struct fs {
	struct options options;
	struct fuse_session *session;
	struct census *census;
	struct realm realm; /* this mount's own */
	struct node_table *nodes;
	struct truncations *truncations;   /* who made which segment shorter */
	struct faults *faults;             /* bus errors */
	struct charges *charges;           /* what each user's open files take */
	struct shared_opens *shared_opens; /* of files that say the same to all */
	struct turns *turns;               /* which requests those answer (turns.h) */
	struct workers *workers;           /* threads for requests that may wait (workers.h) */
	struct events *events;             /* what happens to segments (events/events.h) */
	struct event_streams *streams;     /* who reads it (serve/event-stream.h) */
	struct walks *walks;               /* finds what happens to the rest (views/walks.h) */
	struct periodic_census *periodic_census; /* NULL: there is none */

	int shm_fd; /* the directory that holds the POSIX objects, O_RDONLY | O_DIRECTORY */
	uint64_t shm_dev;
	int proc_fd_dir; /* /proc/self/fd: the way from an O_PATH descriptor to the file itself */

	struct timespec started; /* when the daemon was */

	bool kernel_permits;             /* it checks permissions before we are asked (permit.h) */
	const char *daemon_permits_not;  /* why not, a static string; NULL: not asked for */
	bool passthrough;                /* negotiated with the kernel */
	const char *passthrough_missing; /* why not, a static string */
	gint passthrough_failures;       /* inodes that fell back, atomic */
	guint pruned;                    /* atomic: when that was last looked at (serve/prune.h) */
	gint prunes;                     /* atomic: a worker does that, or is about to */
	gint never_prunes;               /* atomic: the kernel cannot be asked for that */
	bool stuck;                      /* some request does not come to an end */
	bool settled;                    /* the kernel has agreed on the protocol */
	bool replaced;                   /* mounted by replace_mount(): libfuse cannot unmount it */
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Whether there is a set-user-ID or set-group-ID bit that a change may have to clear. */
static inline bool has_set_ids(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_mode & (S_ISUID | S_ISGID);
}

/*
 * Opens anew the file behind a descriptor of any sort. Never blocks: a lease that somebody holds is
 * -EWOULDBLOCK. Returns the descriptor or a negative errno.
 */
int fs_reopen(const struct fs *fs, int file, int flags);

/*
 * Opens the directory that holds the objects, and makes the census and the realm that belong to it, as the
 * options say: in this order, and the census in the process that is to use it. 0, or -1 if one line was
 * logged. The caller closes `shm_fd` and frees the census.
 */
int fs_open_source(struct fs *fs);
int fs_start_census(struct fs *fs);

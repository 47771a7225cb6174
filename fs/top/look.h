/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What shmtop reads and does in the mount. Every path is opened anew, so that the mount is never busy for it. */
#pragma once

#include "top/model.h"

/* Whether a shmtree is mounted there that this user can read. */
bool look_is_shmtree(const char *mount);

/*
 * The mount point of the first shmtree in the list of mounts that this user can read, for the caller to free. NULL:
 * there is none; `unreadable`: there are others.
 */
char *look_find_mount(bool *unreadable);

/* Whether the error says that the mount is gone, and not just that this could not be read now. */
bool look_is_gone(int error);

/*
 * Something that the mount is asked for. The answer may take long, for instance until a process answers that does
 * not: so a thread of its own waits for it.
 */
enum job_type { JOB_TABLE, JOB_DETAILS, JOB_REMOVE };

struct job {
	enum job_type type;
	const char *mount;
	unsigned view;       /* of JOB_TABLE */
	char *directory;     /* of the others; owned */
	GPtrArray *facts;    /* of JOB_DETAILS: lines that are known already; owned */
	int error;           /* 0 or a negative errno */
	struct table *table; /* of JOB_TABLE; or NULL */
	char *use;           /* likewise: how full the tmpfs is, or "" */
	int64_t allocated;   /* bytes of all segments, each object once; -1: as the table adds up */
	GPtrArray *lines;    /* of JOB_DETAILS: of the mappers and the holders, without the facts */
};

/* Does it, and fills in the rest. Any thread. */
void job_do(struct job *job);
void job_free(struct job *job);

/* Lines about a row (char *, valid UTF-8, the caller unrefs): all that its table has. */
GPtrArray *look_facts(const struct top_model *model, guint row);

/* The directory of a segment's row, with which rmdir(2) removes it, for the caller to free. */
char *look_directory(const char *mount, const struct top_model *model, guint row);

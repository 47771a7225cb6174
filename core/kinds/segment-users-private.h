/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structure of the tables of a segment's users, for segment-users.c, which takes them, and
 * segment-users-format.c, which writes them.
 */
#pragma once

#include "kinds/segment-users.h"

#include "base/packed.h"

struct user_process {
	pid_t pid;
	uid_t uid;
	char command[16];
	uint64_t rows;
	bool seen;
	guint32 facts; /* of what is seen: the row in `facts` */
};

/* A reference to the segment that no process shows. */
struct hidden_user {
	struct hidden_row row;
	bool seen;
	guint32 facts; /* of what is seen and has a process */
};

struct segment_users {
	enum users_of of;
	struct caller caller; /* the reader */
	const char *proc;
	struct budget *budget; /* until segment_users_complete() */
	GArray *processes;     /* of struct user_process, in the order of their rows */
	struct packed_rows rows, facts;
	GArray *hidden;     /* of struct hidden_user: they come after the rows */
	char *incomplete;   /* the line about what the pass did not see; may be empty */
	uint64_t not_shown; /* rows */
	size_t first;       /* row that is shown */
	GString *begun;     /* how a JSON row of the process `begun_for` begins */
	guint32 begun_for;
};

static inline struct user_process *process_at(const struct segment_users *users, guint index)
{
	return &g_array_index(users->processes, struct user_process, index);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What report.c takes and report-data.c writes. */
#pragma once

#include "views/limits.h"
#include "views/report.h"
#include "views/segments.h"
#include "views/usage-graph.h"

/* The segments of one realm. */
struct report_list {
	struct segments *segments;
	char realm[32];      /* its name, "" for the daemon's own */
	guint first;         /* index in the graph of the first one */
	uint64_t size, used; /* bytes of its tmpfs; LIMIT_NONE: it has no limit, or there is none */
};

/* Where a segment is, and what it is ordered by. */
struct report_place {
	guint32 list, row;
	uint64_t memory; /* bytes */
};

/* The segments of one kind and state in a realm. Sums stay at the largest number rather than begin anew. */
struct report_sum {
	guint32 list;
	const char *label;
	enum segment_state state;
	uint64_t segments, size, allocated;
	uint64_t unwritten; /* bytes of the sizes that have no memory yet */
};

struct report_user {
	uid_t uid;
	char *name;
};

#define REPORT_NONE G_MAXUINT32

struct report {
	struct usage_graph *graph;
	GArray *lists;     /* of struct report_list */
	GArray *places;    /* of struct report_place: the largest, in that order */
	GArray *sums;      /* of struct report_sum */
	GArray *processes; /* of guint32: which of the graph's are listed, the largest share first */
	guint32 *ranks;    /* of the graph's processes: index in `processes`, or REPORT_NONE */
	GArray *users;     /* of struct report_user */
	struct limit limits[LIMITS_MAX];
	size_t n_limits;
	unsigned limits_unread; /* calls that failed, of all lists */
	struct census_report census;
	char *host; /* NULL: not for this caller */
	const char *source;
	uid_t uid; /* the caller's */
	struct timespec time;
};

/* How many rows the file has, and appends one: as in struct view_rows. */
size_t report_rows(const struct report *report);
void report_format(const void *snapshot, size_t row, GString *out);

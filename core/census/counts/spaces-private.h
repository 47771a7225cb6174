/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structure of the table of address spaces, for the files that make it: spaces.c has the table, count.c
 * the sums over its rows, rows-of-segment.c the rows of one segment.
 */
#pragma once

#include "census/counts/spaces.h"

enum kind { MAPPINGS, DESCRIPTORS, KINDS };

/* The position of a row of a segment: the index of its space, and where it is there. */
struct place {
	guint32 space;
	guint32 at;
};

struct spaces {
	GHashTable *by_pid;      /* pid: struct space, which it owns */
	GPtrArray *order;        /* the same, in ascending order of pid between passes */
	GHashTable *segments;    /* their key: struct segment, which it owns */
	GPtrArray *unreferenced; /* segments that may be left without a row */
	GPtrArray *servers;      /* the spaces that serve */
	GArray *unreadable;      /* of struct unreadable */
	GPtrArray *gone;         /* segments that have been, with their last users; owned */
	uint64_t pass;
	uint64_t counting; /* how many sets of rows have been added or subtracted so far */
	bool grown;        /* `order` may be out of order */

	/* Made on demand by threads that read between passes. Protected by `lock`. */
	GMutex lock;
	struct {
		bool asked;     /* a caller has been answered without the index */
		GArray *places; /* struct place, grouped by segment; NULL: not made */
		uint64_t large; /* segments of so many rows are not in it */
	} index[KINDS];
};

/* A walk through the rows of a space; all zero before the first. */
struct walk {
	size_t row, at, next; /* the rows so far; where this one is, and the next */
};

/* The segment of the space's next row; NULL at the end. */
struct segment *space_next_row(const struct space *space, enum kind kind, struct walk *walk);

/* Whether the sums leave the rows out. */
bool space_is_left_out(const struct space *space, enum kind kind);

/* Puts the segment on the list of those to drop if no row refers to it. */
void segment_note_unreferenced(struct spaces *spaces, struct segment *segment);

/* Takes the space's rows out of the table and the sums; its owner frees it. */
void space_empty(struct spaces *spaces, struct space *space);

/* Forgets where the rows of each segment stand, which is found out anew on demand. */
void spaces_drop_index(struct spaces *spaces);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a snapshot of all segments is taken: for segments-take.c, and for segments-sums.c, which
 * makes no row of each.
 */
#pragma once

#include "kinds/kind.h"
#include "views/segments-private.h"

struct taking {
	const struct realm *realm;
	const struct caller *caller; /* who reads what only some kinds have; NULL: not wanted */
	GHashTable *sees;            /* of the view */
	struct last_users *last;     /* NULL: not wanted */
	struct segments *segments;
	bool swap_empty;    /* nothing was in swap when listing began */
	GHashTable *linked; /* keys of the objects with several names that have been counted */
	struct segments_also also;
	const struct kind *left_out; /* NULL, or one that is counted otherwise */
	GArray *inos;                /* NULL, or numbers of the tmpfs's files that are listed */
	bool counted;                /* what is kept now is in the sums already */
	/* Which kinds have been listed, and how many rows there are with each. */
	struct listed {
		const struct kind *kind;
		size_t until;
	} listed[KINDS_MAX];
	unsigned n_listed;
};

/*
 * Takes what is listed without the census; then, while it is held, the counts and the other items;
 * and ends, when it is not held any more. `taking->left_out` and `taking->inos` are set before.
 */
void segments_taking_begin(struct taking *taking, const struct realm *realm,
	const struct caller *caller, struct budget *budget, const struct segments_also *also);
void segments_taking_count(struct taking *taking);
struct segments *segments_taking_end(struct taking *taking);

/* Keep what the next row's item is, and how it is used. The census is held for the second. */
void segments_keep_item(const struct taking *taking, const struct item *item);
void segments_keep_use(struct taking *taking, const struct item *item);

/* Adds a row to the sums of its kind, state and user. */
void segments_add_total(struct segments *segments, const struct segments_row *row);

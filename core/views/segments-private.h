/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structure of the snapshot of all segments: segments.c packs and reads its rows,
 * segments-take.c makes it.
 */
#pragma once

#include "views/segments-last.h"
#include "views/segments.h"

struct segments {
	struct packed_rows items;  /* what each is, as it was listed */
	struct packed_rows uses;   /* of the same rows: how the census found them used */
	GArray *order;             /* of guint32: which row is the first, and so on; or NULL */
	uint64_t dev;              /* st_dev of most of them, for which 0 stands in a row */
	bool full;                 /* these have what is for the JSON document alone */
	struct segments_last last; /* where they are full */
	GArray *totals;            /* of struct segments_total */
	GHashTable *users;         /* uid: struct segments_sum */
	unsigned failures;
	uint64_t without_row;        /* segments that are in the sums alone */
	struct census_report report; /* of the pass that the counts are of */
	/* What that pass did not see: a line, and a member of a JSON object. */
	char *incomplete_line, *incomplete_json;
};

/* Packs the next row: first what the item is; and, in the order of these, how it is used. */
void segments_pack_item(struct segments *segments, const struct item *item, const char *of_kind,
	int64_t used);
void segments_pack_use(struct segments *segments, const struct segments_row *row);

/* Reads of a row, in the order in which they were packed, what segments_pack_item() has packed. */
void segments_get_item(const struct segments *segments, size_t index, struct segments_row *out);

/* The index of a label in `totals`, where it is entered if need be. */
guint segments_total_of(GArray *totals, const char *label);

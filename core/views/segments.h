/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All segments at one instant, for `segments`, `segments.json` and what else shows them all: taken
 * while the census is held, rendered row by row afterwards. A row takes about as many bytes as its
 * line of text.
 */
#pragma once

#include "kinds/kind.h"

struct listing;

/* What is shown of a segment; the strings live as long as the listing. */
struct listing_row {
	const char *label; /* static */
	const char *id, *name;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size, allocated, resident, swapped; /* bytes; BYTES_UNKNOWN as in an item */
	struct usage usage;
	enum segment_state state;
	struct timespec mtime;
};

/*
 * The segments of every kind that the realm has, in the order of the kinds. Call it with the
 * census held for both facets. Never NULL: a kind that cannot be listed is left out, and counted.
 */
struct listing *listing_take(const struct realm *realm);

/* The same, and `also` is called with each segment, in the order of the rows. */
struct listing *listing_take_with(const struct realm *realm, item_visitor also, void *data);

void listing_free(struct listing *listing);

/* Kinds that could not be listed. */
unsigned listing_failures(const struct listing *listing);

/* The segments themselves. */
size_t listing_segments(const struct listing *listing);
const struct listing_row *listing_segment(const struct listing *listing, size_t index);

/* Lines of the table, and elements of the JSON document: a header, the segments, and an end. */
size_t listing_rows(const struct listing *listing);

/* Memory that it takes. */
size_t listing_bytes(const struct listing *listing);

/* Append row number `row`; the same text each time. */
void listing_render_table(const struct listing *listing, size_t row, GString *out);
void listing_render_json(const struct listing *listing, size_t row, GString *out);

/* Sums over the segments of one label ("posix", "memfd" …). */
struct listing_total {
	const char *label;
	uint64_t segments;
	uint64_t size, allocated; /* bytes */
};
void listing_each_total(const struct listing *listing,
	void (*visit)(const struct listing_total *total, void *data), void *data);

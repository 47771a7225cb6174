/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All segments, for what shows them all (segments-format.h, openmetrics.h ...): listed, counted at
 * one instant, packed, rendered row by row afterwards. A row takes about forty bytes and its
 * name. What a budget does not allow is missing: look at the budget's error.
 */
#pragma once

#include "kinds/kind.h"
#include "kinds/last-user.h"
#include "base/packed.h"

struct segments;

/* What is shown of a segment; the strings live as long as the struct segments. */
struct segments_row {
	const char *label; /* static */
	const char *id, *name;
	mode_t mode;
	uid_t uid;
	uid_t owner; /* whom sums of users count it for */
	gid_t gid;
	uint64_t size, allocated, resident, swapped; /* bytes; BYTES_UNKNOWN as in an item */
	struct usage usage;
	uint64_t references, hidden; /* REFERENCES_UNKNOWN */
	enum segment_state state;
	bool repeated;         /* another name of an object that has a row already */
	struct timespec since; /* kinds/idle.h; of one that is idle, else 0 */
	struct timespec mtime;
	struct timespec atime, ctime;
	uint64_t dev, ino; /* of a file */
	unsigned links;
	/* Of segments_take_full() alone: */
	const char *of_kind; /* for the JSON document: what only its kind has, or "" */
	int64_t used;        /* the kind's own time of use, seconds since 1970; 0: it has none */
	struct last_user last;
};

/*
 * Called while the census is held, which must be short: with each segment, in the order of the
 * rows, and at the end. Either may be NULL.
 */
struct segments_also {
	item_visitor visit; /* the item's kind, key and times are filled in, and its sizes */
	void (*end)(const struct segments *segments, void *data);
	void *data;
};

/*
 * Takes the segments of every kind that the realm has: first of the kinds that are listed without
 * the census, in their order, then of the others. Call it without the census, which it holds while
 * it takes the counts, no longer. 0, or the error of census_hold(). A kind that cannot be listed is
 * left out, and counted. `also`: NULL, or what is to be asked of the same pass.
 */
int segments_take(const struct realm *realm, struct budget *budget,
	const struct segments_also *also, struct segments **out);

/* The same with what only the JSON document has, as this caller may see it. */
int segments_take_full(const struct realm *realm, const struct caller *caller,
	struct budget *budget, struct segments **out);

/*
 * Takes sums over all segments, with rows of all but POSIX objects, of which only the `largest`
 * have one: begin, then hold the census with CENSUS_ALL and CENSUS_FACTS and count, release it, and end.
 * Several realms can be counted in one pass. 0, or -ENOTSUP where the kernel does not tell enough:
 * then `also` was told of nothing, and segments_take() does it. Files in directories that were not
 * listed, as they are too deep or were moved there since, are in the sums, and have no row.
 * segments_sums_end() frees the taking, and returns what was taken, which means something only
 * after 0.
 */
struct segments_sums;
struct segments_sums *segments_sums_begin(const struct realm *realm, unsigned largest,
	struct budget *budget, const struct segments_also *also);
int segments_sums_count(struct segments_sums *sums);
struct segments *segments_sums_end(struct segments_sums *sums);

/* How many segments are in the sums, and have no row. */
uint64_t segments_without_row(const struct segments *segments);

void segments_free(struct segments *segments);

/* Puts the rows in the order that tables have: by kind, then by name, then by ID. */
void segments_sort(struct segments *segments);

/* Kinds that could not be listed, and the report of the pass that the counts are of. */
unsigned segments_failures(const struct segments *segments);
const struct census_report *segments_report(const struct segments *segments);

/* The segments themselves. */
size_t segments_count(const struct segments *segments);
void segments_get(const struct segments *segments, size_t index, struct segments_row *out);

/* Bytes, one and a text, that tell its label and ID: equal for two rows that have the same. */
const uint8_t *segments_key(const struct segments *segments, size_t index);

/*
 * What the pass did not see: a table's last line, or "", and the member "incomplete" of a JSON
 * object.
 */
const char *segments_incomplete_line(const struct segments *segments);
const char *segments_incomplete_json(const struct segments *segments);

/* Memory that it takes. */
size_t segments_bytes(const struct segments *segments);

struct segments_sum {
	uint64_t segments;
	uint64_t size, allocated; /* bytes; what is not known of a segment is not in it */
};

/* Calls `visit` with the sums of each user that owns segments, in no order. */
void segments_each_user(const struct segments *segments,
	void (*visit)(uid_t uid, const struct segments_sum *sum, void *data), void *data);

#define SEGMENT_STATES (STATE_UNKNOWN + 1)

/* Sums over the segments of one label ("posix", "memfd" …). */
struct segments_total {
	const char *label;
	uint64_t segments;
	uint64_t size, allocated; /* bytes */
	uint64_t hidden;          /* references that no process shows, as far as known */
	struct segments_sum of_state[SEGMENT_STATES];
};
void segments_each_total(const struct segments *segments,
	void (*visit)(const struct segments_total *total, void *data), void *data);

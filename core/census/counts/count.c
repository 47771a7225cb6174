/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts mappings, processes and descriptors: keeps the sums of each segment as rows come and go. */
#include "census/counts/spaces-private.h"

#include <string.h>

static size_t space_rows(const struct space *space, enum kind kind)
{
	return kind == MAPPINGS ? space->n_mappings : space->n_descriptors;
}

/* Whether the sums leave the rows out. */
bool space_is_left_out(const struct space *space, enum kind kind)
{
	return kind == MAPPINGS ? space->shares_mappings :
				  space->shares_descriptors || space->serves;
}

/* The segment of the next row; NULL at the end. */
struct segment *space_next_row(const struct space *space, enum kind kind, struct walk *walk)
{
	if (walk->row == space_rows(space, kind))
		return NULL;
	walk->row++;
	walk->at = walk->next;
	if (kind == MAPPINGS)
		return packed_mappings_segment(&space->mappings, &walk->next);
	return space->descriptors[walk->next++].segment;
}

/*
 * Adds the space's rows to the sums (sign 1) or subtracts them (-1), unless these leave them out.
 */
static void count(struct spaces *spaces, struct space *space, enum kind kind, int sign)
{
	struct walk walk = { 0 };
	struct segment *segment;

	spaces_drop_index(spaces);
	if (space_is_left_out(space, kind))
		return;
	spaces->counting++;
	while ((segment = space_next_row(space, kind, &walk))) {
		if (kind == DESCRIPTORS) {
			segment->usage.openers += sign;
			continue;
		}
		segment->usage.mappings += sign;
		if (segment->counting != spaces->counting) {
			segment->counting = spaces->counting;
			segment->usage.processes += sign;
		}
	}
}

void segment_note_unreferenced(struct spaces *spaces, struct segment *segment)
{
	if (segment->rows == 0 && !segment->unreferenced) {
		segment->unreferenced = true;
		g_ptr_array_add(spaces->unreferenced, segment);
	}
}

/* The process whose row was the last one is the last user, as far as is known. */
static void note_last_user(struct segment *segment, const struct space *space, enum kind kind)
{
	if (segment->last.unit)
		g_ref_string_release(segment->last.unit);
	segment->last = (struct past_user){
		.pid = space->pid,
		.born = space->born,
		.uid = space->uid,
		.readable = space->readable && space->uid == space->asked_uid,
		.unit = space->unit ? g_ref_string_acquire(space->unit) : NULL,
	};
	memcpy(segment->last.command, space->command, sizeof segment->last.command);
	segment->last_mapped = kind == MAPPINGS;
	segment->used = true;
}

static void count_refs(struct spaces *spaces, struct space *space, enum kind kind, int sign)
{
	struct walk walk = { 0 };
	struct segment *segment;

	while ((segment = space_next_row(space, kind, &walk))) {
		segment->rows += sign;
		if (segment->rows == 0)
			note_last_user(segment, space, kind);
		segment_note_unreferenced(spaces, segment);
	}
}

bool space_set_mappings(struct spaces *spaces, struct space *space, const struct mapping *rows,
	size_t n)
{
	struct packed_mappings mappings = packed_mappings_make(rows, n);

	if (n == space->n_mappings && packed_mappings_equal(&mappings, &space->mappings)) {
		packed_mappings_clear(&mappings);
		return false;
	}
	count(spaces, space, MAPPINGS, -1);
	count_refs(spaces, space, MAPPINGS, -1);
	packed_mappings_clear(&space->mappings);
	space->mappings = mappings;
	space->n_mappings = n;
	count_refs(spaces, space, MAPPINGS, 1);
	count(spaces, space, MAPPINGS, 1);
	return true;
}

bool space_set_descriptors(struct spaces *spaces, struct space *space,
	const struct descriptor *rows, size_t n)
{
	if (n == space->n_descriptors &&
		(!n || !memcmp(rows, space->descriptors, n * sizeof(*rows))))
		return false;
	count(spaces, space, DESCRIPTORS, -1);
	count_refs(spaces, space, DESCRIPTORS, -1);
	space->descriptors = g_renew(struct descriptor, space->descriptors, n);
	if (n)
		memcpy(space->descriptors, rows, n * sizeof(*rows));
	space->n_descriptors = n;
	count_refs(spaces, space, DESCRIPTORS, 1);
	count(spaces, space, DESCRIPTORS, 1);
	return true;
}

void space_share_mappings(struct spaces *spaces, struct space *space, bool shares)
{
	if (space->shares_mappings == shares)
		return;
	count(spaces, space, MAPPINGS, -1);
	space->shares_mappings = shares;
	count(spaces, space, MAPPINGS, 1);
}

void space_share_descriptors(struct spaces *spaces, struct space *space, bool shares)
{
	if (space->shares_descriptors == shares)
		return;
	count(spaces, space, DESCRIPTORS, -1);
	space->shares_descriptors = shares;
	count(spaces, space, DESCRIPTORS, 1);
}

void space_serve(struct spaces *spaces, struct space *space)
{
	if (space->serves)
		return;
	count(spaces, space, DESCRIPTORS, -1);
	space->serves = true;
	g_ptr_array_add(spaces->servers, space);
}

static void serve_no_more(struct spaces *spaces, struct space *space)
{
	if (g_ptr_array_remove_fast(spaces->servers, space)) {
		space->serves = false;
		count(spaces, space, DESCRIPTORS, 1);
	}
}

void spaces_serve_none(struct spaces *spaces)
{
	while (spaces->servers->len)
		serve_no_more(spaces, spaces->servers->pdata[0]);
}

/* Takes the space out of the table; its owner frees it. */
void space_empty(struct spaces *spaces, struct space *space)
{
	space_set_mappings(spaces, space, NULL, 0);
	space_set_descriptors(spaces, space, NULL, 0);
	serve_no_more(spaces, space);
}

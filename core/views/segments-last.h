/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who used each segment last, packed with the other values of a row: few processes use many
 * segments, so that the row tells which one of a table it is.
 */
#pragma once

#include "base/packed.h"
#include "kinds/last-user.h"

struct segments_last {
	GPtrArray *processes; /* of struct last_user, which it owns */
	GHashTable *index;    /* struct last_user: its index, plus 1; NULL when all are packed */
};

void segments_last_init(struct segments_last *table);
void segments_last_clear(struct segments_last *table);

/* Adds the values to the row that is being written; `near`: a time that `until` may be near. */
void segments_last_pack(struct segments_last *table, struct packed_rows *rows,
	const struct last_user *user, const struct timespec *near);
void segments_last_end(struct segments_last *table);

/* Reads them. */
void segments_last_get(const struct segments_last *table, const uint8_t **at,
	const struct timespec *near, struct last_user *out);

/* Memory that the table takes. */
size_t segments_last_bytes(const struct segments_last *table);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sums by a label of which there may be very many (a user, a unit, a namespace): the largest stay, and the
 * others are added up under one label.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define RANKED_VALUES 3

/* The label of what is not among the largest. */
#define RANKED_OTHERS "other"

struct ranked {
	const char *label; /* owned by the ranking */
	uint64_t values[RANKED_VALUES];
};

struct ranking;

struct ranking *ranking_new(void);
void ranking_free(struct ranking *ranking);

/* Adds values to those of the label. */
void ranking_add(struct ranking *ranking, const char *label, const uint64_t values[RANKED_VALUES]);

/*
 * Returns an array of struct ranked, ordered by label: the `most` labels with the largest values[0], and
 * RANKED_OTHERS with the sums of the rest, if there are any. Valid as long as the ranking; the caller unrefs
 * it.
 */
GArray *ranking_largest(const struct ranking *ranking, guint most);

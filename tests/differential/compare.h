/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds the differences between what both sides answered and between the states they are in. */
#pragma once

#include "world.h"

struct difference {
	size_t step; /* index of the step after which it showed */
	char kind
		[80]; /* what differs, without values: two runs met the same fault if it is equal */
	char text[1200]; /* the same with both answers */
};

/* Forgets which inode is which: at the start of a sequence. */
void compare_begin(void);

/* Each returns true and fills the difference when there is one that is not documented. */
bool compare_outcomes(struct world *, const struct step *, const struct outcome *native,
	const struct outcome *mount, struct difference *);

/* The files as the driver sees them beside the mount, and through it if through_mount. */
bool compare_views(struct world *, bool through_mount, struct difference *);

/* Every byte, extended attribute and listing, beside the mount and through it. */
bool compare_contents(struct world *, struct difference *);

/* "0", "17 (24 bytes)", "EACCES", "signal 7": an answer in words. */
void outcome_describe(const struct outcome *, char *buf, size_t size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the first look of a pass found, in as few bytes as will do, and how the second is merged with it:
 * of each object the smaller number of references counts.
 */
#pragma once

#include "census/object/object.h"
#include "census/object/quiet.h"

struct first_look {
	GArray *objects;         /* of struct first_object, in the order of the table of the look */
	struct quiet_list quiet; /* what nothing used */
};

void first_look_init(struct first_look *look);
void first_look_clear(struct first_look *look);
void first_look_empty(struct first_look *look);

/* Keeps what a look found: `table` of struct object, ordered; and `quiet`, which is empty afterwards. */
void first_look_keep(struct first_look *look, const GArray *table, struct quiet_list *quiet);

/*
 * Merges it into what the second look found. An object that only the second found may have been created
 * in between.
 */
void first_look_merge(const struct first_look *look, GArray *table, struct quiet_list *quiet);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info.json: all that is known of an item, in one object. */
#pragma once

#include "kinds/kind.h"

/*
 * take() of that attribute. If the kind does not need the census anyway, info_take() holds it
 * itself, after it has asked the user database: that may take long, and other threads must not wait
 * for the census meanwhile.
 */
int info_take(const struct view *view, const struct attribute *self, struct view_rows *out);

/*
 * The attributes that only some kinds have, for a list of all segments: members of a JSON object
 * without its braces. Left out are those that every segment has, `last`, what is in the row of a list
 * anyway, and what would wait for the user database. NULL if there are none. The census is held
 * with all facets.
 */
char *info_of_kind(const struct view *view);

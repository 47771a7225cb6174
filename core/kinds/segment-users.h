/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists who maps and who holds one segment, row by row: the tables `mappers` and `holders`, and the
 * arrays of these names in info.json.
 *
 * The rows are taken while the census is held, about ten bytes each. What the reader may see, and
 * what else the tables say of each process, is looked up after the census was released: it may take
 * long, and other threads wait for the census. The row of a process that procfs would not show to
 * the reader is only counted: its addresses would tell how that address space is laid out.
 */
#pragma once

#include "kinds/attribute.h"

struct segment_users;

/* The rows of view->item that `of` tells, within the budget of the view. The census is held. */
struct segment_users *segment_users_take(const struct view *view, enum users_of of);
void segment_users_free(struct segment_users *users);

/* The census is no longer held: 0, or what the budget says. To be called before what follows. */
int segment_users_complete(struct segment_users *users);

size_t segment_users_bytes(const struct segment_users *users);

/*
 * Appends row 0 to segment_users_json_rows() - 1 of two members, NAME and NAME_not_shown, of an
 * object that has a member already.
 */
size_t segment_users_json_rows(const struct segment_users *users);
void segment_users_json(struct segment_users *users, const char *name, size_t row, GString *out);

/* take() of the attributes that are a table. */
int segment_users_table(const struct view *view, const struct attribute *self,
	struct view_rows *out);

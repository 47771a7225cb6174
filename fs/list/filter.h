/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which rows `--where` leaves: conditions, separated by commas, all of which must hold, as in
 * `STATE=idle,AGE>1h`. Each is the name of a column, one of = != < <= > >=, and a value. A text is compared with a
 * pattern of the shell, by = and != alone; a backslash takes a comma, or another character that means
 * something, as it is. What is not known is equal to `unknown`, and to nothing else.
 */
#pragma once

#include "list/columns.h"

struct list_filter;

/* NULL if it is wrong: `*why` is one line that names the condition, for the caller to free. Pure. */
struct list_filter *list_filter_parse(const char *text, char **why);
void list_filter_free(struct list_filter *filter); /* NULL: does nothing */

/* Whether the row has all that is asked for. NULL: nothing is. */
bool list_filter_has(const struct list_filter *filter, const struct segments_row *row,
	const struct timespec *now);

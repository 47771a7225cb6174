/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a view is to its reader: rows of text, made one by one from a snapshot that is more compact
 * than the text. Each view has a function that takes the snapshot and returns this.
 */
#pragma once

#include <glib.h>
#include <stddef.h>

struct view_rows {
	size_t n;       /* rows; each one is some lines of text, or none */
	size_t bytes;   /* memory that the snapshot takes */
	void *snapshot; /* owned: ended with free() */
	/*
	 * Adds what can be learnt without the census, and may take long: called once, before the rest,
	 * by the thread that took the snapshot, when it holds the census no longer. May change `n` and
	 * `bytes`. 0 or a negative errno. NULL: there is nothing to add.
	 */
	int (*complete)(struct view_rows *self);
	/* Appends a row, 0 to n - 1: the same text each time. One thread at a time. */
	void (*format)(const void *snapshot, size_t row, GString *out);
	void (*free)(void *snapshot);
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All segments as text: the files `segments`, `segments.json` and `segments.jsonl`. */
#pragma once

#include "base/view-rows.h"
#include "views/segments-columns.h"

enum segments_form {
	SEGMENTS_TABLE,
	SEGMENTS_JSON, /* one document */
	SEGMENTS_JSON_LINES, /* an object a line, and one with the member `incomplete` if anything is missing */
};

/*
 * A realm's segments, in the order of segments_sort(); of what only some kinds have, the JSON forms say what
 * the caller may know. Call it as segments_take().
 */
int segments_view(const struct realm *realm, const struct caller *caller, enum segments_form form,
	struct budget *budget, struct view_rows *out);

/* Appends a segment of segments_take_full() as an object on one line, without a newline. */
void segments_json_row(const struct segments_row *row, GString *out);

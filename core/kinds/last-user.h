/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attribute `last`: which process used a segment last.
 *
 * Of a System V segment the kernel notes the pid of the process that attached or detached it last,
 * and when. Of the others, and of what a process was, the census remembers what its passes saw
 * (counts/past.h).
 *
 * A live process is shown to callers that may see its rows in `mappers`. For a dead one this cannot
 * be asked any more: it is shown to callers that see every process, and to its own user if that
 * user could read its memory while it lived; never to a confined caller (caller/sight.h).
 */
#pragma once

#include "kinds/kind.h"

/* For tables of kinds of segments: `last`, of a kind that notes nothing itself. */
extern const struct attribute last_user_attributes[];

/* show() and json() of `last`. Needs what the table above says. */
int last_user_show(const struct view *view, const struct attribute *self, GString *out);
int last_user_json(const struct view *view, const struct attribute *self, struct json *json);

#define LAST_USER_NEEDS (CENSUS_MAPPINGS | CENSUS_DESCRIPTORS)

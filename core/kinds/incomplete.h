/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes, in files that show counts, what the pass that they are from did not see. */
#pragma once

#include "base/json.h"
#include "census/census.h"

/*
 * Appends the last line of a table, "# not read: N processes, N kinds", if the census, which is
 * held, could not read some processes, or `kinds` could not be listed; nothing otherwise.
 */
void incomplete_line(struct census *census, unsigned kinds, GString *out);

/*
 * Adds the member `incomplete`: null, or an object of processes, kinds and (true or false)
 * invisible.
 */
void incomplete_json(struct census *census, unsigned kinds, struct json *json);

/*
 * Both as texts, for what is rendered later: the next pass may see more, or less. The caller frees them. `line` is ""
 * where nothing is missing.
 */
void incomplete_texts(struct census *census, unsigned kinds, char **line, char **member);

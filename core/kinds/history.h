/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who gave a segment its first name, who took away its last one, and when: as far as the events tell. */
#pragma once

#include "kinds/attribute.h"

/*
 * Adds the members `created` and `removed` of the view's item, which is a segment. null: it is not known. It may
 * open the segment's file.
 */
void history_json(const struct view *view, struct json *json);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info.json: all that is known of an item, in one object. */
#pragma once

#include "kind.h"

/* show() of that attribute. Needs what all of the item's attributes need. */
int info_show(const struct view *view, const struct attribute *self, GString *out);

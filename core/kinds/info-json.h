/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info.json: all that is known of an item, in one object. */
#pragma once

#include "kinds/kind.h"

/*
 * show() of that attribute. Where the kind does not need the census already, info_show() holds it
 * itself, after it has asked the user database: that may take long, and nobody else is to wait.
 */
int info_show(const struct view *view, const struct attribute *self, GString *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file `unreadable`: which processes the last pass could not read, or not all of, and why. */
#pragma once

#include "kinds/attribute.h"

/* Appends the table, of processes that the caller sees; the others are counted. The census is held. */
void unreadable_show(const struct view *view, GString *out);

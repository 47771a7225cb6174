/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file `memory`: whether it adds up. What /proc/meminfo calls Shmem, and what the tmpfs of the
 * objects uses, by kind, down to what stays unexplained.
 */
#pragma once

#include "kinds/attribute.h"

/* Appends the table OF PART BYTES. It holds the census itself: 0 or the error of that. */
int memory_show(const struct view *view, GString *out);

/* Bytes of that line ("Shmem") of a text like /proc/meminfo; false if it has none. Pure. */
bool memory_parse_meminfo(const char *text, const char *name, uint64_t *bytes);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/uid_map and gid_map: the ids that a user namespace has. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* `count` ids from `inside` on, which are those from `first` on to who reads the map. */
struct id_range {
	uint32_t inside, first, count;
};

/* Appends the ranges of the map; what is not as the kernel writes it ends it. Pure. */
void id_map_parse(const char *text, GArray *out);

/* Reads a map in a directory of /proc/PID: an owned array of struct id_range; empty if that fails. */
GArray *id_map_read(int dir, const char *name);

/* The range which that id of the reader's is in; NULL: the namespace has it not. */
const struct id_range *id_map_find(const GArray *ranges, uint32_t id);

/* Whether that id of the reader's is 0 in the namespace. */
bool id_map_is_root(const GArray *ranges, uint32_t id);

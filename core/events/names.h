/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of objects as they were told last: what a replay of the events has. With them it is known which
 * object loses its name when another one is renamed to it, and after a loss of records what is to be told
 * so that the events add up again.
 *
 * Of more than NAMES_MAX objects some are left out; then neither is known of them.
 *
 * All by one thread at a time.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define NAMES_MAX 65536

struct named {
	uint64_t inode;
	uint64_t size;       /* as it was told last; EVENT_UNKNOWN: it was not */
	uint32_t generation; /* of the inode number */
	unsigned seen;       /* in which listing it was last */
};

struct names;

struct names *names_new(void);
void names_free(struct names *names);

/* An object has that name now; the size may be EVENT_UNKNOWN. Or none has. */
void names_set(struct names *names, const char *name, const struct named *named);
void names_unset(struct names *names, const char *name);

/* What was told of the name; NULL: that there is none, or it is not known. Valid until the next change. */
struct named *names_get(const struct names *names, const char *name);

/* Whether all names are known. */
bool names_complete(const struct names *names);

/* Forgets all. From now on there are none, or it is not known which there are. */
void names_clear(struct names *names, bool complete);

/* Calls `visit` with each name; it may change what is named, but neither set nor unset a name. */
void names_each(const struct names *names,
	void (*visit)(const char *name, struct named *named, void *data), void *data);

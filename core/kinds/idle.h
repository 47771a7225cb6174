/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the items that are proven to be idle: nothing has them at this instant. For segments their
 * state says so (item-use.h); for queues and sets it is what their removal checks (kind->is_free).
 *
 * Since when an item is known to be idle: the later of
 *	its own times, as the kernel keeps them: of change, of access, and for System V of the last
 *	attachment and detachment, or of the last message or operation;
 *	when the daemon first found it idle after it had found it used, or had not known it.
 * For a System V segment the kernel's times are complete, also from before the daemon was started,
 * unless something had it that was not attached.
 */
#pragma once

#include "kinds/kind.h"

/* Whether the kind's items can be removed, and so can be listed as idle. */
bool idle_has(const struct kind *kind);

/* What the census is held with for idle_each(): all facets for segments, 0 for the others. */
unsigned idle_needs(const struct kind *kind);

/* Calls `visit` with each idle item. 0 or a negative errno. */
int idle_each(const struct realm *realm, const struct kind *kind, item_visitor visit, void *data);

/*
 * The item of that ID, freed as for kind->stat(), and since when it is idle; -ENOENT if it is not,
 * or not for certain. May hold the census, which the caller must not.
 */
int idle_stat(const struct realm *realm, const struct kind *kind, const char *id, struct item **out,
	struct timespec *since);

/* Since when a segment is idle whose state says so. */
struct timespec idle_since(const struct realm *realm, const struct item *item);

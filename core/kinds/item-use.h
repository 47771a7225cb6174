/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells what uses an item that is a segment: the counts of the census, what the kernel counts on
 * the object itself, and the state that follows from both.
 */
#pragma once

#include "kinds/kind.h"

struct item_use {
	struct usage usage;
	struct references references;
	enum segment_state state;
};

/*
 * The census is held with all facets, here and below. What is not known is REFERENCES_UNKNOWN, and
 * 0 in the struct's flags.
 */
struct references item_references(const struct realm *realm, const struct item *item);

/*
 * Fills in how the item is used. If there is no other proof, it asks the kernel by kind->is_free()
 * whether anything at all has the item: that may wait for a file system.
 */
void item_use(const struct realm *realm, const struct item *item, struct item_use *out);

/*
 * Returns whether no open file at all refers to the item's object, not even one of the daemon's. False:
 * some do, or it is not known. `wait` as below.
 */
bool item_is_unreferenced(const struct realm *realm, const struct item *item, bool wait);

/*
 * Finds the state without the census, from the object alone: true if the item is proven to be used
 * by nothing, or to be mapped. `wait`: may open the object side of the census first, which takes
 * long.
 */
bool item_state_of_object(const struct realm *realm, const struct item *item, bool wait,
	enum segment_state *out);

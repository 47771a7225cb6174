/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the object side of a census (census/object/objects.h) for census.c: opens it when it is
 * first needed, looks before and after the processes are read, and asks about one object at any
 * time.
 */
#pragma once

#include "census/counts/devices.h"

#include <stdbool.h>

struct census;
struct holders;
struct objects;
struct spaces;

struct object_side;

/* `wanted`: false if there is to be none, for the reason in `why_not` (a static string). */
struct object_side *object_side_new(bool wanted, bool leave_out_self, const char *why_not);
void object_side_free(struct object_side *side);

/*
 * Returns the objects, or NULL where the object side does not work. Opens it if that has not been
 * done, again after a second where there was a lack of memory or descriptors; if `wait` is false,
 * returns NULL instead of opening it, or of waiting for a thread that does.
 */
struct objects *object_side_get(struct object_side *side, bool wait);

/*
 * Why it is off, in one line; NULL if it is on, or was not tried yet. `tried`: whether that is decided; it is not
 * where it will be tried again.
 */
const char *object_side_why_not(struct object_side *side, bool *tried);

/*
 * Returns the search for holders that no process shows, loaded at the first call; NULL where it
 * does not work.
 */
struct holders *object_side_holders(struct object_side *side);

/*
 * A pass calls these before and after it reads the processes. The second returns whether the pass
 * has to read them again, and then to call it again. `facts`: as objects_end().
 */
void object_side_begin(struct object_side *side, const struct devices *devices);
bool object_side_end(struct object_side *side, const struct devices *devices,
	const struct spaces *spaces, bool facts);

/* Returns what the last pass found, or NULL if it did not look, or could not. */
const struct objects *object_side_found(const struct object_side *side);

/* Calls `visit` for each of these that has references, but no row of any process. Not System V. */
void object_side_each_held(const struct object_side *side,
	void (*visit)(const struct segment_key *key, void *data), void *data);

/* What the last pass found is void, and its memory given back: nobody asks any more. */
void object_side_forget(struct object_side *side);

/* Called by a pass that does not look at objects: what was found before is void. */
void object_side_skip(struct object_side *side);

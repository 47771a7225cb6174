/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object side of a census (census/object/objects.h), as census.c runs it: opened at the first
 * need, looked at before and after the processes are read, and asked about one object at any time.
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
 * The objects, or NULL where the object side does not work. Opens it if nobody has; `wait` false:
 * NULL rather than to open it or to wait for who does.
 */
struct objects *object_side_get(struct object_side *side, bool wait);

/* Why it is off, in one line; NULL if it is on, or was not tried yet (`tried` says which). */
const char *object_side_why_not(struct object_side *side, bool *tried);

/* The search for holders that no process shows, loaded at the first call; NULL where it does not work. */
struct holders *object_side_holders(struct object_side *side);

/* Around the reading of processes in a pass. The second says whether that must be repeated. */
void object_side_begin(struct object_side *side, const struct devices *devices);
bool object_side_end(struct object_side *side, const struct devices *devices,
	const struct spaces *spaces);

/* What the last pass found, or NULL if it did not look. */
const struct objects *object_side_found(const struct object_side *side);

/* Of what it found: each that has references, of which no process has shown a row. Not System V. */
void object_side_each_held(const struct object_side *side,
	void (*visit)(const struct segment_key *key, void *data), void *data);

/* A pass that does not look at objects: what was found is void. */
void object_side_skip(struct object_side *side);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/object-side.h"

#include "base/attempt.h"
#include "census/object/holders.h"
#include "census/object/objects.h"
#include "census/counts/spaces.h"

#include <errno.h>
#include <stdlib.h>

/*
 * How often a pass reads the processes again. An object that has references, but no row of any
 * process, may have passed from one process to another between the readings: the pass accepts it
 * only if another reading finds it as well.
 */
#define REPEATS_MAX 2

struct object_side {
	bool wanted, leave_out_self;
	GMutex opening;
	/* Protected by `opening` until the attempt is decided; then constant. */
	struct attempt attempt;
	struct objects *objects;
	const char *why_not;
	/* Likewise. */
	struct attempt holders_attempt;
	struct holders *holders;
	/* Written only by the pass. */
	bool looked;      /* both looks of the last pass succeeded */
	bool began;       /* the first one did */
	unsigned repeats; /* readings that this pass has repeated */
	GArray *suspects; /* of uint64_t: inodes with references that no process showed, sorted */
};

struct object_side *object_side_new(bool wanted, bool leave_out_self, const char *why_not)
{
	struct object_side *side = g_new0(struct object_side, 1);

	side->wanted = wanted;
	side->leave_out_self = leave_out_self;
	side->why_not = wanted ? NULL : why_not;
	if (!wanted)
		attempt_note(&side->attempt, -ENOTSUP);
	side->suspects = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_mutex_init(&side->opening);
	return side;
}

void object_side_free(struct object_side *side)
{
	if (!side)
		return;
	holders_free(side->holders);
	objects_free(side->objects);
	g_array_unref(side->suspects);
	g_mutex_clear(&side->opening);
	g_free(side);
}

static void try_to_open(struct object_side *side)
{
	const char *why = NULL;
	int r = objects_open(side->leave_out_self, &side->objects, &why);

	side->why_not = r < 0 ? why : NULL;
	attempt_note(&side->attempt, r);
}

struct objects *object_side_get(struct object_side *side, bool wait)
{
	struct objects *objects;

	if (attempt_is_decided(&side->attempt))
		return side->objects;
	if (!wait)
		return NULL;
	g_mutex_lock(&side->opening);
	if (attempt_is_due(&side->attempt))
		try_to_open(side);
	objects = side->objects;
	g_mutex_unlock(&side->opening);
	return objects;
}

struct holders *object_side_holders(struct object_side *side)
{
	struct holders *holders;

	if (!object_side_get(side, true))
		return NULL;
	if (attempt_is_decided(&side->holders_attempt))
		return side->holders;
	g_mutex_lock(&side->opening);
	if (attempt_is_due(&side->holders_attempt))
		attempt_note(&side->holders_attempt, holders_open(&side->holders));
	holders = side->holders;
	g_mutex_unlock(&side->opening);
	return holders;
}

const char *object_side_why_not(struct object_side *side, bool *tried)
{
	*tried = attempt_is_decided(&side->attempt);
	if (*tried)
		return side->why_not;
	return attempt_result(&side->attempt) < 0 ?
		"there was a lack of memory or descriptors; it is tried again" :
		NULL;
}

void object_side_skip(struct object_side *side)
{
	side->looked = false;
}

void object_side_forget(struct object_side *side)
{
	if (side->looked)
		objects_forget(side->objects);
	side->looked = false;
}

void object_side_begin(struct object_side *side, const struct devices *devices)
{
	struct objects *objects = object_side_get(side, true);

	side->looked = false;
	side->repeats = 0;
	side->began = objects && objects_begin(objects, devices) == 0;
}

static int by_value(gconstpointer a, gconstpointer b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * Collects the objects, but System V segments, that have references and no row of any process.
 * Returns false if one of them was not among those of the last reading.
 */
static bool take_suspects(struct object_side *side, const struct spaces *spaces)
{
	GArray *suspects = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	bool known = true;

	for (size_t i = 0; i < objects_count(side->objects); i++) {
		const struct object *object = objects_at(side->objects, i);

		if (object->references == 0 || object->key.class == SEGMENT_SYSV ||
			spaces_find(spaces, &object->key))
			continue;
		g_array_append_val(suspects, object->inode);
		known = known && side->suspects->len &&
			bsearch(&object->inode, side->suspects->data, side->suspects->len,
				sizeof(uint64_t), by_value);
	}
	g_array_sort(suspects, by_value);
	g_array_unref(side->suspects);
	side->suspects = suspects;
	return known;
}

bool object_side_end(struct object_side *side, const struct devices *devices,
	const struct spaces *spaces, bool facts)
{
	if (!side->began)
		return false;
	side->looked = objects_end(side->objects, devices, facts) == 0;
	if (!side->looked || take_suspects(side, spaces) || side->repeats++ == REPEATS_MAX)
		return false;
	side->looked = false;
	side->began = objects_begin(side->objects, devices) == 0;
	return side->began;
}

const struct objects *object_side_found(const struct object_side *side)
{
	return side->looked ? side->objects : NULL;
}

void object_side_each_held(const struct object_side *side,
	void (*visit)(const struct segment_key *key, void *data), void *data)
{
	for (guint i = 0; side->looked && i < side->suspects->len; i++) {
		const struct object *object = objects_find_inode(side->objects,
			g_array_index(side->suspects, uint64_t, i));

		if (object)
			visit(&object->key, data);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/references.h"

#include "census/census-private.h"
#include "census/object/objects.h"

#include <stdlib.h>

/*
 * An object with references, of which no process has shown a row, may have changed hands between
 * the readings. It is believed only when another reading says so too.
 */
#define REPEATS_MAX 2

struct object_side {
	bool wanted, leave_out_self;
	GMutex opening;
	/* Under the lock until `tried` is set, atomically; then constant. */
	gint tried;
	struct objects *objects;
	const char *why_not;
	/* The pass's. */
	bool looked;      /* both looks of the last pass went well */
	bool began;       /* the first did */
	unsigned repeats; /* readings that this pass has repeated */
	GArray *suspects; /* of uint64_t: inodes with references that no process showed, sorted */
};

struct object_side *object_side_new(bool wanted, bool leave_out_self, const char *why_not)
{
	struct object_side *side = g_new0(struct object_side, 1);

	side->wanted = wanted;
	side->leave_out_self = leave_out_self;
	side->why_not = wanted ? NULL : why_not;
	side->tried = !wanted;
	side->suspects = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_mutex_init(&side->opening);
	return side;
}

void object_side_free(struct object_side *side)
{
	if (!side)
		return;
	objects_free(side->objects);
	g_array_unref(side->suspects);
	g_mutex_clear(&side->opening);
	g_free(side);
}

struct objects *object_side_get(struct object_side *side, bool wait)
{
	if (g_atomic_int_get(&side->tried))
		return side->objects;
	if (!wait)
		return NULL;
	g_mutex_lock(&side->opening);
	if (!side->tried) {
		objects_open(side->leave_out_self, &side->objects, &side->why_not);
		g_atomic_int_set(&side->tried, 1);
	}
	g_mutex_unlock(&side->opening);
	return side->objects;
}

const char *object_side_why_not(struct object_side *side, bool *tried)
{
	*tried = g_atomic_int_get(&side->tried);
	return *tried ? side->why_not : NULL;
}

void object_side_skip(struct object_side *side)
{
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

/* False if there is one among them that was none the last time. */
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
	const struct spaces *spaces)
{
	if (!side->began)
		return false;
	side->looked = objects_end(side->objects, devices) == 0;
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

static uint64_t hidden_of(struct census *census, const struct object *object,
	const struct segment *segment)
{
	uint64_t shown = 0;

	if (segment && !census->backend->knows_files)
		return REFERENCES_UNKNOWN;
	if (segment)
		shown = spaces_count_files(census->spaces, segment);
	return object->references > shown ? object->references - shown : 0;
}

struct references census_references(struct census *census, const struct segment_key *key,
	uint64_t inode)
{
	const struct objects *objects = object_side_found(census->object_side);
	struct references references = { .count = REFERENCES_UNKNOWN,
		.hidden = REFERENCES_UNKNOWN };
	const struct object *object = NULL;

	if (objects)
		object = inode ? objects_find_inode(objects, inode) : objects_find(objects, key);
	if (!object)
		return references;
	return (struct references){
		.known = true,
		.moved = object->moved,
		.mapped = object->mapped && object->references > 0,
		.served = object->served > 0,
		.count = object->references,
		.hidden = hidden_of(census, object, spaces_find(census->spaces, key)),
	};
}

static bool make_row(const struct objects *objects, const struct object *object,
	struct object_row *out)
{
	const struct seen_detail *detail = objects_detail(objects, object);

	if (!detail)
		return false;
	*out = (struct object_row){
		.key = object->key,
		.name = detail->name,
		.st = {
			.st_dev = object->key.dev,
			.st_ino = object->key.ino,
			.st_nlink = object->nlink,
			.st_mode = detail->mode,
			.st_uid = detail->uid,
			.st_gid = detail->gid,
			.st_size = detail->size,
			.st_blocks = object->allocated / 512,
			.st_atim = { detail->atime, detail->atime_nsec },
			.st_mtim = { detail->mtime, detail->mtime_nsec },
			.st_ctim = { detail->ctime, detail->ctime_nsec },
		},
		.generation = object->generation,
		.references = object->references,
		.swapped = object->swapped,
		.huge = object->huge,
	};
	return true;
}

void census_each_object(struct census *census,
	void (*visit)(const struct object_row *row, void *data), void *data)
{
	const struct objects *objects = object_side_found(census->object_side);
	struct object_row row;

	for (size_t i = 0; objects && i < objects_count(objects); i++)
		if (make_row(objects, objects_at(objects, i), &row))
			visit(&row, data);
}

bool census_object(struct census *census, const struct segment_key *key, struct object_row *out)
{
	const struct objects *objects = object_side_found(census->object_side);
	const struct object *object = objects ? objects_find(objects, key) : NULL;

	return object && make_row(objects, object, out);
}

/* Zero is believed only if it is found twice, and if the counts of readers and writers agree. */
static int tell(const struct seen_object *first, const struct seen_object *second,
	unsigned left_out, struct object_now *out)
{
	uint32_t references = MIN(first->references, second->references);
	bool open = first->readers > 0 || first->writers > 0 || second->readers > 0 ||
		second->writers > 0;

	if (first->inode != second->inode || (first->flags | second->flags) & OBJECT_UNCERTAIN ||
		references < left_out || (references == left_out && open))
		return -EAGAIN;
	*out = (struct object_now){
		.inode = first->inode,
		.ino = first->ino,
		.generation = first->generation,
		.references = references - left_out,
		.mapped = first->flags & OBJECT_MAPPED,
		.huge = first->flags & OBJECT_HUGE,
		.allocated = second->blocks * 512,
	};
	return 0;
}

int census_look(struct census *census, int fd, bool wait, struct object_now *out)
{
	struct objects *objects = object_side_get(census->object_side, wait);
	struct seen_object first, second;
	int r = objects ? objects_look(objects, fd, &first) : -ENOTSUP;

	if (r == 0)
		r = objects_look(objects, fd, &second);
	return r == 0 ? tell(&first, &second, 1, out) : r;
}

int census_look_sysv(struct census *census, int shmid, bool wait, struct object_now *out)
{
	struct objects *objects = object_side_get(census->object_side, wait);
	struct seen_object first, second;
	int r = objects ? objects_look_sysv(objects, shmid, &first) : -ENOTSUP;

	if (r == 0)
		r = objects_look_sysv(objects, shmid, &second);
	return r == 0 ? tell(&first, &second, 1, out) : r;
}

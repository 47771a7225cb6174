/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel counts on each object, as the last pass found it or as it is now: see census.h. */
#include "census/census-private.h"
#include "census/object/objects.h"

static uint64_t hidden_of(struct census *census, const struct object *object,
	const struct segment *segment)
{
	g_autoptr(GArray) files = NULL;
	uint64_t shown = 0;

	if (segment && !census->backend->knows_files)
		return REFERENCES_UNKNOWN;
	if (segment) {
		files = spaces_files(census->spaces, segment);
		shown = files->len;
	}
	return object->references > shown ? object->references - shown : 0;
}

static bool find_object(const struct objects *objects, const struct segment_key *key,
	uint64_t inode, struct object *out)
{
	const struct object *found;

	if (!inode)
		return objects_find(objects, key, out);
	found = objects_find_inode(objects, inode);
	if (found)
		*out = *found;
	return found;
}

struct references census_references(struct census *census, const struct segment_key *key,
	uint64_t inode)
{
	const struct objects *objects = object_side_found(census->object_side);
	struct references references = { .count = REFERENCES_UNKNOWN,
		.hidden = REFERENCES_UNKNOWN };
	struct object object;

	if (!objects || !find_object(objects, key, inode, &object))
		return references;
	return (struct references){
		.known = true,
		.moved = object.moved,
		.mapped = object.mapped && object.references > 0,
		.nameless = object.nlink == 0,
		.served = object.served > 0,
		.count = object.references,
		.hidden = hidden_of(census, &object, spaces_find(census->spaces, key)),
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
	struct object object;

	return objects && objects_find(objects, key, &object) && make_row(objects, &object, out);
}

int census_is_named(struct census *census, const struct segment_key *key)
{
	const struct objects *objects = object_side_found(census->object_side);
	struct object object;

	return objects && objects_find(objects, key, &object) ? object.nlink > 0 : -ENOENT;
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

int census_charged(struct census *census, const struct object_now *now, int64_t limit_us,
	struct charge_sums *out)
{
	return charged_read(census->charged, now->inode, now->ino, now->generation, limit_us, out);
}

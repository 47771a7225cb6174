/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All POSIX objects of a tmpfs, from the kernel's own list of inodes: see census.h. */
#include "census/census-private.h"
#include "census/object/objects.h"

#include <errno.h>
#include <string.h>

struct named_visit {
	struct census *census;
	const struct objects *objects;
	uint64_t dev;
	/* Numbers of those of which more is known than that no open file refers to them. */
	GHashTable *noticed;
	void (*visit)(const struct named_object *object, void *data);
	void *data;
};

static void notice(struct named_visit *each, uint64_t ino)
{
	gint64 number = (gint64)ino;

	g_hash_table_add(each->noticed, g_memdup2(&number, sizeof number));
}

static void notice_used(const struct segment_key *key, const struct usage *usage, void *data)
{
	struct named_visit *each = data;

	(void)usage;
	if (key->class == SEGMENT_FILE && key->dev == each->dev)
		notice(each, key->ino);
}

/* What the first look saw in use, or the daemon itself has open. */
static void notice_flagged(struct named_visit *each)
{
	const struct quiet_list *quiet = objects_quiet(each->objects);

	for (guint i = 0; i < quiet->devices->len; i++) {
		const struct quiet_device *device =
			&g_array_index(quiet->devices, struct quiet_device, i);

		for (guint j = device->first;
			device->dev == each->dev && j < device->first + device->n; j++) {
			const struct quiet_object *object =
				&g_array_index(quiet->objects, struct quiet_object, j);

			if (object->flags)
				notice(each, object->ino);
		}
	}
}

static void visit_facts(const struct named_visit *each, const struct quiet_fact *facts, size_t n)
{
	bool any = g_hash_table_size(each->noticed) > 0;

	for (size_t i = 0; i < n; i++) {
		const struct quiet_fact *fact = &facts[i];
		gint64 number = (gint64)fact->ino;
		const struct named_object object = {
			.key = { .dev = each->dev, .ino = fact->ino, .class = SEGMENT_FILE },
			.uid = fact->uid,
			.size = fact->size,
			.allocated = fact->blocks * 512,
			.idle = !any || !g_hash_table_contains(each->noticed, &number),
			.inode = fact->inode,
			.generation = fact->generation,
		};

		each->visit(&object, each->data);
	}
}

static void visit_others(const struct named_visit *each)
{
	for (size_t i = 0; i < objects_count(each->objects); i++) {
		const struct object *object = objects_at(each->objects, i);
		const struct named_object named = {
			.key = object->key,
			.uid = object->uid,
			.size = object->size,
			.allocated = object->allocated,
			.swapped = object->swapped,
			.nested = !object->in_root,
			.inode = object->inode,
			.generation = object->generation,
		};

		if (object->key.dev == each->dev && object->nlink > 0 &&
			(object->shown || !object->in_root))
			each->visit(&named, each->data);
	}
}

int census_each_named(struct census *census, uint64_t dev,
	void (*visit)(const struct named_object *object, void *data), void *data)
{
	g_autoptr(GHashTable) noticed =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	const struct objects *objects = object_side_found(census->object_side);
	struct named_visit each = { census, objects, dev, noticed, visit, data };
	const struct quiet_fact *facts;
	size_t n = 0;

	facts = objects ? objects_facts(objects, dev, &n) : NULL;
	if (!facts)
		return -ENOTSUP;
	census_each_segment(census, notice_used, &each);
	notice_flagged(&each);
	visit_facts(&each, facts, n);
	visit_others(&each);
	return 0;
}

int census_describe(struct census *census, const struct named_object *object, struct stat *st,
	char name[CENSUS_NAME])
{
	struct objects *objects = object_side_get(census->object_side, false);
	const struct quiet_fact fact = {
		.inode = object->inode,
		.ino = object->key.ino,
		.generation = object->generation,
	};
	struct seen_detail detail;
	int r = objects ? objects_describe(objects, object->key.dev, &fact, &detail) : -ENOTSUP;

	if (r < 0)
		return r;
	*st = (struct stat){
		.st_dev = object->key.dev,
		.st_ino = object->key.ino,
		.st_nlink = 1,
		.st_mode = detail.mode,
		.st_uid = detail.uid,
		.st_gid = detail.gid,
		.st_size = (off_t)detail.size,
		.st_blocks = (blkcnt_t)(object->allocated / 512),
		.st_atim = { detail.atime, detail.atime_nsec },
		.st_mtim = { detail.mtime, detail.mtime_nsec },
		.st_ctim = { detail.ctime, detail.ctime_nsec },
	};
	memcpy(name, detail.name, CENSUS_NAME);
	return 0;
}

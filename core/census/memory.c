/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What takes memory, by file system and kind: see census.h. */
#include "census/census-private.h"
#include "census/object/objects.h"
#include "census/object/sums.h"

#include <errno.h>

static const char *kind_of(const struct object *object)
{
	if (object->key.class != SEGMENT_FILE)
		return segment_class_name(object->key.class);
	return object->in_root ? segment_class_name(SEGMENT_FILE) :
		object->nlink  ? "nested" :
				 "unlinked";
}

static struct memory_part *find_part(GArray *parts, const char *kind, uint64_t dev, bool huge)
{
	struct memory_part fresh = { .kind = kind, .dev = dev, .huge = huge };

	for (guint i = 0; i < parts->len; i++) {
		struct memory_part *part = &g_array_index(parts, struct memory_part, i);

		if (part->dev == fresh.dev && part->huge == fresh.huge &&
			g_str_equal(part->kind, kind))
			return part;
	}
	g_array_append_val(parts, fresh);
	return &g_array_index(parts, struct memory_part, parts->len - 1);
}

static void add(struct memory_part *part, uint64_t allocated, uint64_t swapped)
{
	swapped = MIN(swapped, allocated);
	part->resident += allocated - swapped;
	part->swapped += swapped;
}

static void add_objects(GArray *parts, const struct objects *objects)
{
	const struct quiet_list *quiet = objects_quiet(objects);

	for (size_t i = 0; i < objects_count(objects); i++) {
		const struct object *object = objects_at(objects, i);

		add(find_part(parts, kind_of(object), object->key.dev, object->huge),
			object->allocated, object->swapped);
	}
	for (guint i = 0; i < quiet->devices->len; i++) {
		const struct quiet_device *device =
			&g_array_index(quiet->devices, struct quiet_device, i);

		add(find_part(parts, segment_class_name(SEGMENT_FILE), device->dev, false),
			device->allocated, device->swapped);
	}
}

int census_memory(struct census *census, void (*visit)(const struct memory_part *part, void *data),
	void *data)
{
	const struct objects *objects = object_side_found(census->object_side);
	g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(struct memory_part));
	g_autoptr(GArray) sums = g_array_new(FALSE, FALSE, sizeof(struct super_sum));
	int r = objects ? sums_read(census->sums, sums) : -ENOTSUP;

	if (r < 0)
		return r;
	add_objects(parts, objects);
	for (guint i = 0; i < parts->len; i++)
		visit(&g_array_index(parts, struct memory_part, i), data);
	for (guint i = 0; i < sums->len; i++) {
		const struct super_sum *sum = &g_array_index(sums, struct super_sum, i);
		const struct memory_part part = {
			.dev = sum->dev,
			.huge = sum->huge_page != 0,
			.huge_page = sum->huge_page,
			.resident = sum->resident,
			.swapped = sum->swapped,
		};

		visit(&part, data);
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/first-look.h"

#include "base/util.h"

#include <sys/sysmacros.h>

struct first_object {
	uint64_t inode; /* its address in the kernel */
	uint64_t ino;
	uint32_t major_minor; /* of its device: major << 20 | minor */
	uint32_t generation;
	uint32_t references;
	uint32_t served : 31;
	uint32_t moved : 1;
};

void first_look_init(struct first_look *look)
{
	look->objects = g_array_new(FALSE, FALSE, sizeof(struct first_object));
	quiet_list_init(&look->quiet);
}

void first_look_clear(struct first_look *look)
{
	g_array_unref(look->objects);
	quiet_list_clear(&look->quiet);
}

void first_look_empty(struct first_look *look)
{
	first_look_clear(look);
	first_look_init(look);
}

void first_look_keep(struct first_look *look, const GArray *table, struct quiet_list *quiet)
{
	first_look_clear(look);
	look->quiet = *quiet;
	quiet_list_init(quiet);
	look->objects = g_array_sized_new(FALSE, FALSE, sizeof(struct first_object), table->len);
	for (guint i = 0; i < table->len; i++) {
		const struct object *object = &g_array_index(table, struct object, i);
		const struct first_object first = {
			.inode = object->inode,
			.ino = object->key.ino,
			.major_minor = major(object->key.dev) << 20 | minor(object->key.dev),
			.generation = object->generation,
			.references = object->references,
			.served = object->served,
			.moved = object->moved,
		};

		g_array_append_val(look->objects, first);
	}
}

static void merge(struct object *object, const struct first_object *before)
{
	if (!before || before->generation != object->generation) {
		object->moved = true;
		return;
	}
	object->moved |= before->moved || before->references != object->references;
	object->served = MAX(object->served, before->served);
	object->references = MIN(object->references, before->references);
}

/* Orders as the table is ordered, as far as device and number tell. */
static int compare_first(const struct first_object *first, uint64_t dev, uint64_t ino)
{
	int r = compare_numbers(makedev(first->major_minor >> 20, first->major_minor & 0xfffff),
		dev);

	return r == 0 ? compare_numbers(first->ino, ino) : r;
}

/*
 * The first look at the object, if it was in use by then, which is `*at` or stands after it; NULL:
 * there was none. `inode` 0: of any inode with that number.
 */
static const struct first_object *find_first(const GArray *objects, guint *at, uint64_t dev,
	uint64_t ino, uint64_t inode)
{
	const struct first_object *first = (const void *)objects->data;

	while (*at < objects->len && compare_first(&first[*at], dev, ino) < 0)
		++*at;
	for (guint i = *at; i < objects->len && compare_first(&first[i], dev, ino) == 0; i++)
		if (first[i].inode == inode || inode == 0)
			return &first[i];
	return NULL;
}

static void merge_table(const struct first_look *look, GArray *table)
{
	guint at = 0;

	for (guint i = 0; i < table->len; i++) {
		struct object *object = &g_array_index(table, struct object, i);
		const struct segment_key *key = &object->key;
		const struct first_object *before =
			find_first(look->objects, &at, key->dev, key->ino, object->inode);
		const struct quiet_object *quiet = before || key->class != SEGMENT_FILE ?
			NULL :
			quiet_list_find(&look->quiet, key->dev, key->ino, NULL);
		const struct first_object unused = { .generation = quiet ? quiet->generation : 0 };

		merge(object, quiet ? &unused : before);
	}
}

/* Merges in the first look at one that the second found unused. */
static void merge_quiet(const struct first_look *look, uint64_t dev, struct quiet_object *quiet,
	guint *at, guint *guess)
{
	const struct quiet_object *unused = quiet_list_find(&look->quiet, dev, quiet->ino, guess);
	const struct first_object *before =
		unused ? NULL : find_first(look->objects, at, dev, quiet->ino, 0);

	if (unused && unused->generation == quiet->generation)
		return;
	if (!before || before->generation != quiet->generation || before->moved ||
		before->references > 0)
		quiet->flags |= QUIET_MOVED;
	if (before && before->generation == quiet->generation && before->served)
		quiet->flags |= QUIET_SERVED;
}

void first_look_merge(const struct first_look *look, GArray *table, struct quiet_list *quiet)
{
	guint at = 0, guess = 0;

	merge_table(look, table);
	for (guint i = 0; i < quiet->devices->len; i++) {
		const struct quiet_device *device =
			&g_array_index(quiet->devices, struct quiet_device, i);

		for (guint j = device->first; j < device->first + device->n; j++)
			merge_quiet(look, device->dev,
				&g_array_index(quiet->objects, struct quiet_object, j), &at,
				&guess);
	}
}

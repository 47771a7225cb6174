/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/quiet.h"

#include <stdbool.h>
#include <stdlib.h>

void quiet_list_init(struct quiet_list *list)
{
	list->objects = g_array_new(FALSE, FALSE, sizeof(struct quiet_object));
	list->devices = g_array_new(FALSE, FALSE, sizeof(struct quiet_device));
}

void quiet_list_clear(struct quiet_list *list)
{
	g_array_unref(list->objects);
	g_array_unref(list->devices);
}

void quiet_list_empty(struct quiet_list *list)
{
	quiet_list_clear(list);
	quiet_list_init(list);
}

static int by_number(const void *a, const void *b)
{
	const struct quiet_object *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/*
 * A tmpfs numbers its inodes in turn, and the kernel lists the newest first: reversed, they mostly
 * are in order, and sorting a million would take longer than all else that a look does.
 */
static void sort(struct quiet_object *objects, guint n)
{
	bool sorted = true;

	for (guint low = 0, high = n; low + 1 < high; low++) {
		struct quiet_object last = objects[--high];

		objects[high] = objects[low];
		objects[low] = last;
	}
	for (guint i = 1; i < n && sorted; i++)
		sorted = objects[i - 1].ino <= objects[i].ino;
	if (!sorted)
		qsort(objects, n, sizeof *objects, by_number);
}

void quiet_list_add(struct quiet_list *list, const struct quiet_device *device,
	const struct quiet_object *objects)
{
	struct quiet_device added = *device;

	if (device->n == 0)
		return;
	added.first = list->objects->len;
	g_array_append_vals(list->objects, objects, device->n);
	g_array_append_val(list->devices, added);
	sort(&g_array_index(list->objects, struct quiet_object, added.first), added.n);
}

static const struct quiet_device *find_device(const struct quiet_list *list, uint64_t dev)
{
	for (guint i = 0; i < list->devices->len; i++)
		if (g_array_index(list->devices, struct quiet_device, i).dev == dev)
			return &g_array_index(list->devices, struct quiet_device, i);
	return NULL;
}

/* Where the first of the device's objects is whose number is no smaller. */
static guint search(const struct quiet_list *list, const struct quiet_device *device, uint64_t ino)
{
	const struct quiet_object *all = (const void *)list->objects->data;
	guint low = device->first, high = device->first + device->n;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (all[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct quiet_object *quiet_list_find(const struct quiet_list *list, uint64_t dev, uint64_t ino,
	guint *guess)
{
	const struct quiet_device *device = find_device(list, dev);
	struct quiet_object *all = (void *)list->objects->data;
	guint at, end;

	if (!device)
		return NULL;
	end = device->first + device->n;
	at = guess ? *guess : end;
	if (at < device->first || at >= end || all[at].ino != ino)
		at = search(list, device, ino);
	if (guess)
		*guess = at + 1;
	return at < end && all[at].ino == ino ? &all[at] : NULL;
}

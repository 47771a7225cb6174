/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of objects that nothing uses, in sixteen bytes each: a tmpfs may have a million of them.
 */
#pragma once

#include "census/object/records.h"

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* What a pass adds to what one look saw. */
enum quiet_flag {
	QUIET_MOVED = 1 << 0,  /* the other look saw it in use, or not at all */
	QUIET_SERVED = 1 << 1, /* the other look saw that the daemon had it open, but for O_PATH */
};

/* Those of one device, and what they take together. */
struct quiet_device {
	uint64_t dev;                /* st_dev */
	uint64_t allocated, swapped; /* bytes */
	guint first, n;              /* where they are in `objects` */
};

struct quiet_list {
	GArray *objects; /* of struct quiet_object, those of a device in ascending order of number */
	GArray *devices; /* of struct quiet_device */
};

void quiet_list_init(struct quiet_list *list);
void quiet_list_clear(struct quiet_list *list);

/* Empties the list, and frees the memory that it takes. */
void quiet_list_empty(struct quiet_list *list);

/* Adds a device, of which the list has nothing yet. `device->first` is filled in. */
void quiet_list_add(struct quiet_list *list, const struct quiet_device *device,
	const struct quiet_object *objects);

/*
 * Returns the object with that number, or NULL. `guess`: NULL, or where it may be, if objects are
 * asked for in ascending order: updated.
 */
struct quiet_object *quiet_list_find(const struct quiet_list *list, uint64_t dev, uint64_t ino,
	guint *guess);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/kind.h"

#include "kinds/nested.h"
#include "kinds/posix-mqueue.h"
#include "kinds/posix.h"
#include "kinds/sysv-other.h"
#include "kinds/sysv.h"
#include "kinds/unlinked.h"

#include <string.h>

const struct kind *const kinds[KINDS_MAX] = { &kind_posix, &kind_nested, &kind_sysv, &kind_unlinked,
	&kind_mqueue, &kind_msg, &kind_sem, NULL };

const struct attribute *item_attribute(const struct item *item, const char *name)
{
	for (const struct attribute *const *table = item->kind->attributes; *table; table++)
		for (const struct attribute *a = *table; a->name; a++)
			if (strcmp(a->name, name) == 0 && (!a->exists || a->exists(item)))
				return a;
	return NULL;
}

void item_each_attribute(const struct item *item,
	void (*visit)(const struct attribute *attribute, void *data), void *data)
{
	for (const struct attribute *const *table = item->kind->attributes; *table; table++)
		for (const struct attribute *a = *table; a->name; a++)
			if (!a->exists || a->exists(item))
				visit(a, data);
}

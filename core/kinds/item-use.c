/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/item-use.h"

/* A System V segment is found by its inode: other namespaces have some of the same number. */
struct references item_references(const struct realm *realm, const struct item *item)
{
	struct object_now now = { 0 };

	if (item->key.class == SEGMENT_SYSV &&
		(!item->kind->look || item->kind->look(realm, item, true, &now) < 0))
		return (struct references){ .count = REFERENCES_UNKNOWN,
			.hidden = REFERENCES_UNKNOWN };
	return census_references(realm->census, &item->key, now.inode);
}

/*
 * A file that the daemon has open for a user of the mount, whose own descriptor no process shows,
 * is held: without passthrough the kernel counts that descriptor on the mount's file alone.
 */
static enum segment_state state_of(const struct realm *realm, const struct item *item,
	const struct item_use *use)
{
	int is_free;

	if (use->usage.mappings || use->references.mapped)
		return STATE_MAPPED;
	if (use->usage.openers)
		return STATE_OPEN;
	if (item->in_use)
		return STATE_HELD;
	if (use->references.known)
		return use->references.count || use->references.served ? STATE_HELD : STATE_IDLE;
	is_free = item->kind->is_free ? item->kind->is_free(realm, item) : -EOPNOTSUPP;
	if (is_free < 0)
		return STATE_UNKNOWN;
	return is_free ? STATE_IDLE : STATE_HELD;
}

/* Notes what the census does not remember by itself: a use of which it has no rows. */
static void note_use(const struct realm *realm, const struct item *item, const struct item_use *use)
{
	if (use->state != STATE_IDLE && use->state != STATE_UNKNOWN && !item->in_use &&
		use->usage.mappings == 0 && use->usage.openers == 0)
		census_note_use(realm->census, &item->key);
}

void item_use(const struct realm *realm, const struct item *item, struct item_use *out)
{
	out->usage = census_usage(realm->census, &item->key);
	out->references = item_references(realm, item);
	out->state = state_of(realm, item, out);
	note_use(realm, item, out);
}

bool item_is_unreferenced(const struct realm *realm, const struct item *item, bool wait)
{
	struct object_now now;

	return item->kind->look && item->kind->look(realm, item, wait, &now) == 0 &&
		now.references == 0;
}

bool item_state_of_object(const struct realm *realm, const struct item *item, bool wait,
	enum segment_state *out)
{
	struct object_now now;

	if (!item->kind->look || item->kind->look(realm, item, wait, &now) < 0)
		return false;
	if (now.references == 0 && !item->in_use)
		*out = STATE_IDLE;
	else if (now.mapped)
		*out = STATE_MAPPED;
	else
		return false;
	if (*out == STATE_MAPPED && !item->in_use)
		census_note_use(realm->census, &item->key);
	return true;
}

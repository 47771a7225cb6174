/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/idle.h"

#include "kinds/item-use.h"

#include <errno.h>
#include <stdlib.h>

bool idle_has(const struct kind *kind)
{
	return kind->remove != NULL;
}

unsigned idle_needs(const struct kind *kind)
{
	return kind->data == DATA_NONE ? 0 : CENSUS_ALL;
}

static const struct timespec *later(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec > b->tv_sec ? a : b;
	return a->tv_nsec > b->tv_nsec ? a : b;
}

/* The last time at which the item's own times say that something used it. */
static struct timespec last_change(const struct item *item)
{
	const struct timespec used = { .tv_sec = item->kind->used ? item->kind->used(item) : 0 };

	return *later(later(&item->atime, &item->mtime), later(&item->ctime, &used));
}

#define TICK_NS (10 * 1000 * 1000)

/*
 * A change that comes right after the daemon's look may have an earlier time than that: a file's
 * are of the last tick of the kernel's clock, those of a queue whole seconds.
 */
static struct timespec not_before(struct timespec since, const struct item *item)
{
	struct timespec changed = last_change(item);

	if (item->kind->used) {
		changed.tv_sec++;
	} else {
		changed.tv_sec += (changed.tv_nsec + TICK_NS) / 1000000000;
		changed.tv_nsec = (changed.tv_nsec + TICK_NS) % 1000000000;
	}
	return *later(&since, &changed);
}

static struct timespec segment_since(const struct realm *realm, const struct item *item,
	bool *passed)
{
	struct timespec changed = last_change(item);
	bool exact = item->key.class == SEGMENT_SYSV;
	struct timespec since =
		census_idle_since(realm->census, &item->key, &changed, exact, passed);

	return exact ? since : not_before(since, item);
}

struct timespec idle_since(const struct realm *realm, const struct item *item)
{
	return segment_since(realm, item, NULL);
}

/* Returns a key for an item that is no segment: no file system has that device number. */
static struct segment_key key_of_other(const struct realm *realm, const struct item *item)
{
	return (struct segment_key){
		.dev = UINT64_MAX - (uintptr_t)item->kind,
		.ino = item->identity ? item->identity : strtoull(item->id, NULL, 10),
		.ns = realm->ipc_ns,
		.class = SEGMENT_OTHER,
	};
}

static struct timespec other_since(const struct realm *realm, const struct item *item)
{
	struct segment_key key = key_of_other(realm, item);
	struct timespec changed = last_change(item);

	return not_before(census_found_idle(realm->census, &key, &changed), item);
}

static bool other_is_idle(const struct realm *realm, const struct item *item)
{
	struct segment_key key;

	if (item->kind->is_free && item->kind->is_free(realm, item) == 1)
		return true;
	key = key_of_other(realm, item);
	census_note_use(realm->census, &key);
	return false;
}

static bool is_idle_held(const struct realm *realm, const struct item *item)
{
	struct item_use use;

	item_use(realm, item, &use);
	return use.state == STATE_IDLE;
}

struct visiting {
	const struct realm *realm;
	item_visitor visit;
	void *data;
};

static void visit_segment(const struct item *item, void *data)
{
	const struct visiting *visiting = data;

	if (is_idle_held(visiting->realm, item))
		visiting->visit(item, visiting->data);
}

static void visit_free(const struct item *item, void *data)
{
	const struct visiting *visiting = data;

	other_since(visiting->realm, item); /* it is found idle now */
	visiting->visit(item, visiting->data);
}

static void visit_other(const struct item *item, void *data)
{
	const struct visiting *visiting = data;

	if (other_is_idle(visiting->realm, item))
		visit_free(item, data);
}

int idle_each(const struct realm *realm, const struct kind *kind, item_visitor visit, void *data)
{
	struct visiting visiting = { realm, visit, data };

	if (idle_needs(kind))
		return kind->each(realm, visit_segment, &visiting);
	if (kind->each_free)
		return kind->each_free(realm, visit_free, &visiting);
	return kind->each(realm, visit_other, &visiting);
}

/*
 * Finds out whether a segment is idle, and since when. Makes a pass where the object alone does not
 * tell, or no pass has found the segment idle yet.
 */
static int stat_segment(const struct realm *realm, const struct item *item, struct timespec *since)
{
	enum segment_state state;
	bool passed, idle;
	int r;

	if (item_state_of_object(realm, item, true, &state)) {
		if (state != STATE_IDLE)
			return -ENOENT;
		*since = segment_since(realm, item, &passed);
		if (passed)
			return 0;
	}
	r = census_hold(realm->census, CENSUS_ALL);
	if (r < 0)
		return r;
	idle = is_idle_held(realm, item);
	*since = segment_since(realm, item, &passed);
	census_release(realm->census);
	return idle ? 0 : -ENOENT;
}

int idle_stat(const struct realm *realm, const struct kind *kind, const char *id, struct item **out,
	struct timespec *since)
{
	g_autofree struct item *item = NULL;
	int r = kind->stat(realm, id, &item);

	if (r == 0 && item->segment)
		r = stat_segment(realm, item, since);
	else if (r == 0 && other_is_idle(realm, item))
		*since = other_since(realm, item);
	else if (r == 0)
		r = -ENOENT;
	if (r == 0)
		*out = g_steal_pointer(&item);
	return r;
}

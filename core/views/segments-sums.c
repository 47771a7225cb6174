/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sums over all segments, with rows of the largest POSIX objects alone. A directory of 100,000
 * objects takes a second to list, look at and pack, name by name; the kernel's own list of inodes,
 * which a pass walks through anyway, has what sums are made of.
 *
 * Files in directories are listed before. What is moved between a directory and the root meanwhile
 * is in the sums once: as it was listed, or else as the kernel's list has it.
 */
#include "views/segments-taking.h"

#include "base/util.h"
#include "kinds/item-use.h"
#include "kinds/nested.h"
#include "kinds/posix-removal.h"
#include "kinds/posix.h"

#include <errno.h>
#include <sys/stat.h>

/* A tmpfs numbers its inodes in turn, and its root directory is the first. */
#define ROOT_INO 1

struct segments_sums {
	struct taking taking;
	bool by_inode; /* POSIX objects are counted by the kernel's list */
	GArray *inos;  /* of uint64_t, in order: files that were listed, and are not counted so */
	guint largest;
	GArray *top;               /* of struct named_object: the largest so far, and more */
	bool full;                 /* there have been as many as wanted, */
	struct named_object least; /* of which this is the smallest */
	uint64_t visited;
};

/*
 * Whether the realm's directory is the root of its file system, so that its objects are all that
 * are in that.
 */
static bool is_root(const struct realm *realm)
{
	struct stat st;

	return realm->shm_fd >= 0 && fstat(realm->shm_fd, &st) == 0 && st.st_ino == ROOT_INO;
}

static gint by_value(gconstpointer a, gconstpointer b)
{
	const uint64_t *x = a, *y = b;

	return compare_numbers(*x, *y);
}

struct segments_sums *segments_sums_begin(const struct realm *realm, unsigned largest,
	struct budget *budget, const struct segments_also *also)
{
	struct segments_sums *sums = g_new0(struct segments_sums, 1);

	sums->by_inode = is_root(realm);
	sums->largest = largest;
	sums->top = g_array_new(FALSE, FALSE, sizeof(struct named_object));
	sums->inos = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	sums->taking.left_out = sums->by_inode ? &kind_posix : NULL;
	sums->taking.inos = sums->by_inode ? sums->inos : NULL;
	segments_taking_begin(&sums->taking, realm, NULL, budget, also);
	g_array_sort(sums->inos, by_value);
	return sums;
}

static gint by_memory(gconstpointer a, gconstpointer b)
{
	const struct named_object *one = a, *other = b;

	if (one->allocated != other->allocated)
		return one->allocated < other->allocated ? 1 : -1;
	if (one->size != other->size)
		return one->size < other->size ? 1 : -1;
	/* The kernel lists the newest first: so the first are the largest of many that are alike. */
	return one->key.ino == other->key.ino ? 0 : one->key.ino < other->key.ino ? 1 : -1;
}

static void cut(struct segments_sums *sums)
{
	g_array_sort(sums->top, by_memory);
	g_array_set_size(sums->top, MIN(sums->top->len, sums->largest));
}

static void consider(struct segments_sums *sums, const struct named_object *object)
{
	if (sums->largest == 0 || (sums->full && by_memory(object, &sums->least) > 0))
		return;
	g_array_append_vals(sums->top, object, 1);
	if (sums->top->len < 2 * sums->largest)
		return;
	cut(sums);
	sums->full = true;
	sums->least = g_array_index(sums->top, struct named_object, sums->top->len - 1);
}

static const char *label_of(const struct named_object *object)
{
	return object->nested ? kind_nested.directory : segment_class_name(SEGMENT_FILE);
}

/* As far as is needed to ask how it is used. */
static struct item item_of(const struct named_object *object)
{
	uint64_t swapped = MIN(object->swapped, object->allocated);

	return (struct item){
		.kind = object->nested ? &kind_nested : &kind_posix,
		.label = label_of(object),
		.segment = true,
		.key = object->key,
		.uid = object->uid,
		.links = 1, /* it is visited once, whatever names it has */
		.size = object->size,
		.allocated = object->allocated,
		.resident = object->allocated - swapped,
		.swapped = swapped,
	};
}

static void count_used(struct taking *taking, const struct named_object *object,
	struct segments_row *row)
{
	const struct item item = item_of(object);
	struct item_use use;

	item_use(taking->realm, &item, &use);
	row->state = use.state;
	row->hidden = use.references.hidden;
	if (taking->also.visit)
		taking->also.visit(&item, taking->also.data);
}

static void count_named(const struct named_object *object, void *data)
{
	struct segments_sums *sums = data;
	struct segments_row row = {
		.label = label_of(object),
		.uid = object->uid,
		.owner = object->uid,
		.size = object->size,
		.allocated = object->allocated,
		.state = STATE_IDLE,
	};

	if (g_array_binary_search(sums->inos, &object->key.ino, by_value, NULL))
		return;
	if (!object->idle)
		count_used(&sums->taking, object, &row);
	segments_add_total(sums->taking.segments, &row);
	if (!object->nested)
		consider(sums, object);
	sums->visited++;
}

/* One that is gone by now, or is being removed, has no row; one that cannot be asked about is missing. */
static void keep_largest(struct segments_sums *sums)
{
	struct taking *taking = &sums->taking;
	char name[CENSUS_NAME];
	bool failed = false;
	struct item item;
	struct stat st;

	cut(sums);
	taking->counted = true;
	for (guint i = 0; i < sums->top->len; i++) {
		const struct named_object *object =
			&g_array_index(sums->top, struct named_object, i);
		int r = census_describe(taking->realm->census, object, &st, name);

		failed |= r < 0 && r != -ENOENT;
		if (r < 0 || posix_is_hidden(name))
			continue;
		posix_make_item(name, &st, &item);
		segments_keep_item(taking, &item);
		segments_keep_use(taking, &item);
		sums->visited--;
	}
	taking->counted = false;
	taking->segments->failures += failed;
	taking->segments->without_row = sums->visited;
}

int segments_sums_count(struct segments_sums *sums)
{
	const struct realm *realm = sums->taking.realm;
	int r = 0;

	/* First of all: if it fails, nothing has been counted. */
	if (sums->by_inode)
		r = census_each_named(realm->census, realm->shm_dev, count_named, sums);
	if (r < 0)
		return r;
	segments_taking_count(&sums->taking);
	keep_largest(sums);
	return 0;
}

struct segments *segments_sums_end(struct segments_sums *sums)
{
	struct segments *segments = segments_taking_end(&sums->taking);

	g_array_unref(sums->top);
	g_array_unref(sums->inos);
	g_free(sums);
	return segments;
}

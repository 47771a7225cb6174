/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/objects.h"

#include "base/memfd.h"
#include "base/util.h"
#include "census/object/programs.h"
#include "census/object/self-test.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The types of file systems. A descriptor of each leads to the kernel's list of that type. */
enum anchor { ANCHOR_TMPFS, ANCHOR_HUGETLBFS, ANCHORS };

/* What the first look of a pass found of an object, in as few bytes as will do. */
struct first_look {
	uint64_t inode; /* its address in the kernel */
	uint64_t ino;
	uint32_t major_minor; /* of its device: major << 20 | minor */
	uint32_t generation;
	uint32_t references;
	uint32_t served : 31;
	uint32_t moved : 1;
};

struct objects {
	struct object_programs *programs;
	bool leave_out_self, sysv;
	GArray *table;           /* of struct object: the result, by number */
	GArray *before;          /* of struct first_look, in the same order */
	GArray *details;         /* of struct seen_detail */
	GPtrArray *by_inode;     /* objects of the table, in the order of `inode` */
	GArray *own, *own_after; /* of struct own_file: before and after a look */
};

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/*
 * Orders by device, number and class, then by the inode's address: two System V segments may have
 * the same number.
 */
static int by_number(gconstpointer a, gconstpointer b)
{
	const struct object *x = a, *y = b;
	int r = compare(x->key.dev, y->key.dev);

	if (r == 0)
		r = compare(x->key.ino, y->key.ino);
	if (r == 0)
		r = compare(x->key.class, y->key.class);
	return r == 0 ? compare(x->inode, y->inode) : r;
}

static int by_address(gconstpointer a, gconstpointer b)
{
	const struct object *const *x = a, *const *y = b;

	return compare((*x)->inode, (*y)->inode);
}

static int by_own_inode(gconstpointer a, gconstpointer b)
{
	const struct own_file *x = a, *y = b;
	int r = compare(x->inode, y->inode);

	return r == 0 ? compare(x->file, y->file) : r;
}

/*
 * Returns how many open files refer to an inode. The references on its names alone can be wrong, if
 * a file that has several is opened by one and closed by another in between; the counts of readers
 * and writers are the inode's.
 */
static uint32_t all_references(const struct seen_object *seen)
{
	uint32_t open = MAX(seen->readers, 0) + MAX(seen->writers, 0);

	return MAX(seen->references, open);
}

/*
 * Lists the daemon's own open files, sorted: one for each, although duplicated descriptors share
 * it.
 */
static int list_own(struct objects *objects, GArray *list)
{
	const struct own_file *own, *last = NULL;
	g_autofree struct own_file *sorted = NULL;
	size_t count;
	int r;

	g_array_set_size(list, 0);
	if (!objects->leave_out_self)
		return 0;
	r = object_programs_own_files(objects->programs, &own, &count);
	if (r < 0 || count == 0)
		return r;
	sorted = g_memdup2(own, count * sizeof *own);
	qsort(sorted, count, sizeof *sorted, by_own_inode);
	for (size_t i = 0; i < count; last = &sorted[i++])
		if (!last || last->file != sorted[i].file)
			g_array_append_val(list, sorted[i]);
	return 0;
}

/*
 * Keeps in `own` what is in `after` as well: only what was open before the walk and still is after
 * it was certainly counted by the walk. If more were left out, an object that another process has
 * would seem idle.
 */
static void keep_lasting(GArray *own, const GArray *after)
{
	guint kept = 0, at = 0;

	for (guint i = 0; i < own->len; i++) {
		const struct own_file *file = &g_array_index(own, struct own_file, i);

		while (at < after->len &&
			by_own_inode(&g_array_index(after, struct own_file, at), file) < 0)
			at++;
		if (at < after->len &&
			by_own_inode(&g_array_index(after, struct own_file, at), file) == 0)
			g_array_index(own, struct own_file, kept++) = *file;
	}
	g_array_set_size(own, kept);
}

/* Returns how many open files of an inode the daemon has; `served`: those without O_PATH. */
static uint32_t own_references(const struct objects *objects, uint64_t inode, uint32_t *served)
{
	const struct own_file *own = (const void *)objects->own->data;
	guint low = 0, high = objects->own->len;
	uint32_t count = 0;

	*served = 0;
	while (low < high) {
		guint middle = (low + high) / 2;

		if (own[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < objects->own->len && own[low].inode == inode; low++) {
		*served += !(own[low].flags & O_PATH);
		count++;
	}
	return count;
}

static void append(struct objects *objects, const struct object_list *list,
	const struct seen_object *seen, enum device_role role)
{
	const struct seen_detail *detail = seen->detail ? &list->details[seen->detail - 1] : NULL;
	uint32_t page = sysconf(_SC_PAGESIZE);
	struct object object = {
		.key = {
			.dev = makedev(seen->dev >> 20, seen->dev & 0xfffff),
			.ino = seen->ino,
			.class = role == DEVICE_SHM ? SEGMENT_FILE :
						      segment_class_of_name(detail ? detail->name : ""),
		},
		.inode = seen->inode,
		.generation = seen->generation,
		.references = all_references(seen),
		.nlink = seen->nlink,
		.allocated = seen->blocks * 512,
		.swapped = seen->swapped * page,
		.huge = seen->flags & OBJECT_HUGE,
		.mapped = seen->flags & OBJECT_MAPPED,
		.in_root = seen->flags & OBJECT_IN_ROOT,
		.moved = seen->flags & OBJECT_UNCERTAIN,
	};
	if (detail) {
		g_array_append_val(objects->details, *detail);
		object.detail = objects->details->len;
	}
	g_array_append_val(objects->table, object);
}

/* Makes room for `more` elements at once: of a million objects each new size would be copied. */
static void reserve(GArray *table, size_t more)
{
	guint len = table->len;

	g_array_set_size(table, len + more);
	g_array_set_size(table, len);
}

/*
 * Sorts the elements from `first` on. A tmpfs numbers its inodes in turn, and the kernel lists the
 * newest first: reversed, they mostly are in order, and sorting a million would take longer than all
 * else that a look does.
 */
static void sort_from(GArray *table, guint first)
{
	struct object *at = (struct object *)(void *)table->data;
	bool sorted = true;

	for (guint low = first, high = table->len; low + 1 < high; low++) {
		struct object last = at[--high];

		at[high] = at[low];
		at[low] = last;
	}
	for (guint i = first + 1; i < table->len && sorted; i++)
		sorted = by_number(&at[i - 1], &at[i]) <= 0;
	if (!sorted)
		qsort(at + first, table->len - first, sizeof *at, by_number);
}

static int look_at_device(struct objects *objects, const int anchors[ANCHORS], dev_t dev,
	enum device_role role)
{
	struct object_list list;
	guint first = objects->table->len;
	int r = -ENODEV;

	for (unsigned i = 0; i < ANCHORS && r == -ENODEV; i++)
		if (anchors[i] >= 0)
			r = object_programs_walk(objects->programs, anchors[i], dev, &list);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	reserve(objects->table, list.count);
	for (size_t i = 0; i < list.count; i++)
		if (!(list.at[i].flags & OBJECT_OTHER))
			append(objects, &list, &list.at[i], role);
	sort_from(objects->table, first);
	return 0;
}

static int by_device(gconstpointer a, gconstpointer b)
{
	const struct device *x = a, *y = b;

	return compare(x->dev, y->dev);
}

/* Returns the devices in the order in which by_number() has them. */
static GArray *sorted_devices(const struct devices *devices)
{
	GArray *sorted = g_array_copy(devices->set);

	g_array_sort(sorted, by_device);
	return sorted;
}

/*
 * Looks at all devices. The memfds exist only during a look, so that other processes that look do
 * not list them for ever.
 */
static int look_at_devices(struct objects *objects, const struct devices *devices)
{
	auto_fd small = memfd_new(0), huge = memfd_new(MFD_HUGETLB);
	const int anchors[ANCHORS] = { [ANCHOR_TMPFS] = small, [ANCHOR_HUGETLBFS] = huge };
	g_autoptr(GArray) sorted = sorted_devices(devices);
	int r = list_own(objects, objects->own);

	for (guint i = 0; i < sorted->len && r == 0; i++) {
		const struct device *device = &g_array_index(sorted, struct device, i);

		if (device->role == DEVICE_SHM || device->role == DEVICE_INTERNAL)
			r = look_at_device(objects, anchors, device->dev, device->role);
	}
	if (r == 0)
		r = list_own(objects, objects->own_after);
	object_programs_walked(objects->programs);
	keep_lasting(objects->own, objects->own_after);
	return r;
}

/* Subtracts the daemon's references, and the one that a System V segment itself has on its file. */
static void leave_out_own(const struct objects *objects)
{
	for (guint i = 0; i < objects->table->len; i++) {
		struct object *object = &g_array_index(objects->table, struct object, i);
		uint32_t left_out = own_references(objects, object->inode, &object->served) +
			(object->key.class == SEGMENT_SYSV);

		object->references -= MIN(object->references, left_out);
	}
}

static int look_at_all(struct objects *objects, const struct devices *devices)
{
	int r;

	g_ptr_array_set_size(objects->by_inode, 0);
	g_array_set_size(objects->table, 0);
	g_array_set_size(objects->details, 0);
	r = look_at_devices(objects, devices);
	if (r < 0)
		g_array_set_size(objects->table, 0);
	leave_out_own(objects);
	return r;
}

/* Keeps of the first look what the second is compared with. */
static void keep_first(struct objects *objects)
{
	guint n = objects->table->len;

	g_array_unref(objects->before);
	objects->before = g_array_sized_new(FALSE, FALSE, sizeof(struct first_look), n);
	for (guint i = 0; i < n; i++) {
		const struct object *object = &g_array_index(objects->table, struct object, i);
		const struct first_look look = {
			.inode = object->inode,
			.ino = object->key.ino,
			.major_minor = major(object->key.dev) << 20 | minor(object->key.dev),
			.generation = object->generation,
			.references = object->references,
			.served = object->served,
			.moved = object->moved,
		};

		g_array_append_val(objects->before, look);
	}
}

int objects_begin(struct objects *objects, const struct devices *devices)
{
	int r = look_at_all(objects, devices);

	keep_first(objects);
	return r;
}

/* Merges the first look in. An object that only the second found may have been created in between. */
static void merge(struct object *object, const struct first_look *before)
{
	if (!before || before->generation != object->generation) {
		object->moved = true;
		return;
	}
	object->moved |= before->moved || before->references != object->references;
	object->served = MAX(object->served, before->served);
	object->references = MIN(object->references, before->references);
}

/* Orders as by_number() does, as far as device and number tell. */
static int compare_look(const struct first_look *look, const struct object *object)
{
	uint64_t dev = makedev(look->major_minor >> 20, look->major_minor & 0xfffff);
	int r = compare(dev, object->key.dev);

	return r == 0 ? compare(look->ino, object->key.ino) : r;
}

/* The first look at the object, which is `*at` or stands after it; NULL: there was none. */
static const struct first_look *find_look(const GArray *before, guint *at,
	const struct object *object)
{
	const struct first_look *look = (const void *)before->data;

	while (*at < before->len && compare_look(&look[*at], object) < 0)
		++*at;
	for (guint i = *at; i < before->len && compare_look(&look[i], object) == 0; i++)
		if (look[i].inode == object->inode)
			return &look[i];
	return NULL;
}

static void merge_all(struct objects *objects)
{
	guint at = 0;

	for (guint i = 0; i < objects->table->len; i++) {
		struct object *object = &g_array_index(objects->table, struct object, i);

		merge(object, find_look(objects->before, &at, object));
		g_ptr_array_add(objects->by_inode, object);
	}
	g_ptr_array_sort(objects->by_inode, by_address);
}

int objects_end(struct objects *objects, const struct devices *devices)
{
	int r = look_at_all(objects, devices);

	merge_all(objects);
	g_array_unref(objects->before);
	objects->before = g_array_new(FALSE, FALSE, sizeof(struct first_look));
	return r;
}

const struct object *objects_find(const struct objects *objects, const struct segment_key *key)
{
	const struct object *table = (const void *)objects->table->data;
	struct object wanted = { .key = *key };
	guint low = 0, high = objects->table->len;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (by_number(&table[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == objects->table->len || key->class == SEGMENT_SYSV)
		return NULL;
	return table[low].key.dev == key->dev && table[low].key.ino == key->ino &&
			table[low].key.class == key->class ?
		&table[low] :
		NULL;
}

const struct object *objects_find_inode(const struct objects *objects, uint64_t inode)
{
	struct object like = { .inode = inode };
	const struct object *wanted = &like;
	const struct object *const *found = objects->by_inode->len == 0 ?
		NULL :
		bsearch(&wanted, objects->by_inode->pdata, objects->by_inode->len, sizeof wanted,
			by_address);

	return found ? *found : NULL;
}

size_t objects_count(const struct objects *objects)
{
	return objects->table->len;
}

const struct object *objects_at(const struct objects *objects, size_t index)
{
	return &g_array_index(objects->table, struct object, index);
}

const struct seen_detail *objects_detail(const struct objects *objects, const struct object *object)
{
	return object->detail ?
		&g_array_index(objects->details, struct seen_detail, object->detail - 1) :
		NULL;
}

int objects_look(struct objects *objects, int fd, struct seen_object *out)
{
	return object_programs_look(objects->programs, fd, out);
}

int objects_look_sysv(struct objects *objects, int shmid, struct seen_object *out)
{
	if (!objects->sysv)
		return -ENOTSUP;
	return object_programs_look_sysv(objects->programs, shmid, out);
}

int objects_open(bool leave_out_self, struct objects **out, const char **why)
{
	struct object_programs *programs;
	struct objects *objects;
	bool sysv = false;
	int r = object_programs_load(&programs, why);

	if (r < 0)
		return r;
	r = object_self_test(programs, CASE_NONE, &sysv, why);
	if (r < 0) {
		object_programs_free(programs);
		return r;
	}
	objects = g_new0(struct objects, 1);
	objects->programs = programs;
	objects->leave_out_self = leave_out_self;
	objects->sysv = sysv;
	objects->before = g_array_new(FALSE, FALSE, sizeof(struct first_look));
	objects->table = g_array_new(FALSE, FALSE, sizeof(struct object));
	objects->details = g_array_new(FALSE, FALSE, sizeof(struct seen_detail));
	objects->by_inode = g_ptr_array_new();
	objects->own = g_array_new(FALSE, FALSE, sizeof(struct own_file));
	objects->own_after = g_array_new(FALSE, FALSE, sizeof(struct own_file));
	*out = objects;
	return 0;
}

void objects_free(struct objects *objects)
{
	if (!objects)
		return;
	object_programs_free(objects->programs);
	g_array_unref(objects->before);
	g_array_unref(objects->table);
	g_array_unref(objects->details);
	g_ptr_array_unref(objects->by_inode);
	g_array_unref(objects->own);
	g_array_unref(objects->own_after);
	g_free(objects);
}

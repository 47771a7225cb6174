/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/objects.h"

#include "base/memfd.h"
#include "base/util.h"
#include "census/object/first-look.h"
#include "census/object/own-files.h"
#include "census/object/programs.h"
#include "census/object/quiet.h"
#include "census/object/self-test.h"
#include "procfs/memory-room.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The types of file systems. A descriptor of each leads to the kernel's list of that type. */
enum anchor { ANCHOR_TMPFS, ANCHOR_HUGETLBFS, ANCHORS };

/* Taking more than this is asked for: memory-room.h. */
#define ASKING_BYTES (1024 * 1024)

struct objects {
	struct object_programs *programs;
	bool leave_out_self, sysv;
	GArray *table; /* of struct object: the result, by number */
	struct first_look first;
	GArray *details;           /* of struct seen_detail */
	GPtrArray *by_inode;       /* objects of the table, in the order of `inode` */
	struct quiet_list quiet;   /* what nothing uses, and is not in the table */
	GArray *facts_of;          /* of struct facts_of */
	struct own_files_seen own; /* empty where the daemon's own files count */
};

/* Where the facts of one device are. */
struct facts_of {
	uint64_t dev;
	guint first, n;
};

/*
 * Orders by device, number and class, then by the inode's address: two System V segments may have
 * the same number.
 */
static int by_number(gconstpointer a, gconstpointer b)
{
	const struct object *x = a, *y = b;
	int r = compare_numbers(x->key.dev, y->key.dev);

	if (r == 0)
		r = compare_numbers(x->key.ino, y->key.ino);
	if (r == 0)
		r = compare_numbers(x->key.class, y->key.class);
	return r == 0 ? compare_numbers(x->inode, y->inode) : r;
}

static int by_address(gconstpointer a, gconstpointer b)
{
	const struct object *const *x = a, *const *y = b;

	return compare_numbers((*x)->inode, (*y)->inode);
}

/*
 * Returns how many open files refer to an inode. The references on its names alone can be wrong, if
 * a file that has several is opened by one and closed by another in between; the counts of readers
 * and writers are the inode's.
 */
static uint32_t all_references(const struct seen_object *seen)
{
	uint32_t open = (uint32_t)MAX(seen->readers, 0) + (uint32_t)MAX(seen->writers, 0);

	return MAX(seen->references, open);
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
		.size = seen->size,
		.uid = seen->uid,
		.huge = seen->flags & OBJECT_HUGE,
		.mapped = seen->flags & OBJECT_MAPPED,
		.in_root = seen->flags & OBJECT_IN_ROOT,
		.shown = seen->flags & OBJECT_SHOWN,
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

static void append_quiet(struct objects *objects, const struct object_list *list, dev_t dev)
{
	const struct quiet_device device = {
		.dev = dev,
		.n = list->n_quiet,
		.allocated = list->quiet_blocks * 512,
		.swapped = list->quiet_swapped * sysconf(_SC_PAGESIZE),
	};

	quiet_list_add(&objects->quiet, &device, list->quiet);
}

static void append_facts(struct objects *objects, const struct object_list *list, dev_t dev)
{
	const struct facts_of of = { dev, list->first_fact, list->n_quiet };

	g_array_append_val(objects->facts_of, of);
}

/* A few are not worth the question. Sorting takes as much again, and so does the first look. */
static bool has_room(const struct object_list *list)
{
	size_t bytes = list->count * sizeof(struct object) +
		list->n_details * sizeof(struct seen_detail) +
		2 * list->n_quiet * sizeof(struct quiet_object);

	return bytes < ASKING_BYTES || memory_has_room(2 * bytes);
}

static int look_at_device(struct objects *objects, const int anchors[ANCHORS], dev_t dev,
	enum device_role role, bool facts)
{
	unsigned also = role != DEVICE_SHM ? WALK_WHOLE : facts ? WALK_FACTS : 0;
	struct object_list list;
	guint first = objects->table->len;
	int r = -ENODEV;

	for (unsigned i = 0; i < ANCHORS && r == -ENODEV; i++)
		if (anchors[i] >= 0)
			r = object_programs_walk(objects->programs, anchors[i], dev, also, &list);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	if (!has_room(&list))
		return -ENOMEM;
	reserve(objects->table, list.count);
	for (size_t i = 0; i < list.count; i++)
		if (!(list.at[i].flags & OBJECT_OTHER))
			append(objects, &list, &list.at[i], role);
	sort_from(objects->table, first);
	append_quiet(objects, &list, dev);
	if (list.facts)
		append_facts(objects, &list, dev);
	return 0;
}

static int by_device(gconstpointer a, gconstpointer b)
{
	const struct device *x = a, *y = b;

	return compare_numbers(x->dev, y->dev);
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
static int look_at_devices(struct objects *objects, const struct devices *devices, bool facts)
{
	auto_fd small = memfd_new(0), huge = memfd_new(MFD_HUGETLB);
	const int anchors[ANCHORS] = { [ANCHOR_TMPFS] = small, [ANCHOR_HUGETLBFS] = huge };
	g_autoptr(GArray) sorted = sorted_devices(devices);
	/* A kernel may be without hugetlbfs. */
	int r = small < 0 ? small : is_shortage(huge) ? huge : 0;

	if (r == 0 && objects->leave_out_self)
		r = own_files_begin(&objects->own, objects->programs);
	for (guint i = 0; i < sorted->len && r == 0; i++) {
		const struct device *device = &g_array_index(sorted, struct device, i);

		if (device->role == DEVICE_SHM || device->role == DEVICE_INTERNAL)
			r = look_at_device(objects, anchors, device->dev, device->role, facts);
	}
	object_programs_walked(objects->programs);
	if (r == 0 && objects->leave_out_self)
		r = own_files_end(&objects->own, objects->programs);
	return r;
}

/* Subtracts the daemon's references, and the one that a System V segment itself has on its file. */
static void leave_out_own(const struct objects *objects)
{
	for (guint i = 0; i < objects->table->len; i++) {
		struct object *object = &g_array_index(objects->table, struct object, i);
		uint32_t left_out = own_files_of(&objects->own, object->inode, &object->served) +
			(object->key.class == SEGMENT_SYSV);

		object->references -= MIN(object->references, left_out);
	}
}

static void empty_lists(struct objects *objects)
{
	quiet_list_empty(&objects->quiet);
	g_array_set_size(objects->facts_of, 0);
	object_programs_drop_facts(objects->programs);
}

static int look_at_all(struct objects *objects, const struct devices *devices, bool facts)
{
	int r;

	g_ptr_array_set_size(objects->by_inode, 0);
	g_array_set_size(objects->table, 0);
	g_array_set_size(objects->details, 0);
	empty_lists(objects);
	r = look_at_devices(objects, devices, facts);
	if (r < 0) {
		g_array_set_size(objects->table, 0);
		empty_lists(objects);
	}
	leave_out_own(objects);
	return r;
}

int objects_begin(struct objects *objects, const struct devices *devices)
{
	int r = look_at_all(objects, devices, false);

	first_look_keep(&objects->first, objects->table, &objects->quiet);
	return r;
}

int objects_end(struct objects *objects, const struct devices *devices, bool facts)
{
	int r = look_at_all(objects, devices, facts);

	first_look_merge(&objects->first, objects->table, &objects->quiet);
	first_look_empty(&objects->first);
	for (guint i = 0; i < objects->table->len; i++)
		g_ptr_array_add(objects->by_inode,
			&g_array_index(objects->table, struct object, i));
	g_ptr_array_sort(objects->by_inode, by_address);
	return r;
}

void objects_forget(struct objects *objects)
{
	g_ptr_array_unref(objects->by_inode);
	g_array_unref(objects->table);
	g_array_unref(objects->details);
	objects->table = g_array_new(FALSE, FALSE, sizeof(struct object));
	objects->details = g_array_new(FALSE, FALSE, sizeof(struct seen_detail));
	objects->by_inode = g_ptr_array_new();
	empty_lists(objects);
}

/*
 * A tmpfs that was mounted with inode32 may have two files of one number: that in use is the one
 * found, so that neither is taken for idle by mistake.
 */
static bool find_in_table(const struct objects *objects, const struct segment_key *key,
	struct object *out)
{
	const struct object *table = (const void *)objects->table->data;
	bool found = false;
	struct object wanted = { .key = *key };
	guint low = 0, high = objects->table->len;

	if (key->class == SEGMENT_SYSV)
		return false;
	while (low < high) {
		guint middle = (low + high) / 2;

		if (by_number(&table[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < objects->table->len && segment_key_equal(&table[low].key, key); low++) {
		if (!found || table[low].references > out->references)
			*out = table[low];
		found = true;
	}
	return found;
}

static bool find_quiet(const struct objects *objects, const struct segment_key *key,
	struct object *out)
{
	const struct quiet_object *quiet = key->class == SEGMENT_FILE ?
		quiet_list_find(&objects->quiet, key->dev, key->ino, NULL) :
		NULL;

	if (!quiet)
		return false;
	*out = (struct object){
		.key = *key,
		.generation = quiet->generation,
		.nlink = 1,
		.served = (quiet->flags & QUIET_SERVED) != 0,
		.moved = (quiet->flags & QUIET_MOVED) != 0,
		.in_root = true,
	};
	return true;
}

bool objects_find(const struct objects *objects, const struct segment_key *key, struct object *out)
{
	return find_in_table(objects, key, out) || find_quiet(objects, key, out);
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

const struct quiet_list *objects_quiet(const struct objects *objects)
{
	return &objects->quiet;
}

const struct quiet_fact *objects_facts(const struct objects *objects, uint64_t dev, size_t *n)
{
	const struct quiet_fact *facts = object_programs_facts(objects->programs);

	for (guint i = 0; i < objects->facts_of->len; i++) {
		const struct facts_of *of = &g_array_index(objects->facts_of, struct facts_of, i);

		if (of->dev != dev)
			continue;
		*n = of->n;
		return facts ? facts + of->first : NULL;
	}
	return NULL;
}

int objects_describe(struct objects *objects, uint64_t dev, const struct quiet_fact *fact,
	struct seen_detail *out)
{
	struct object_describe describe = {
		.inode = fact->inode,
		.ino = fact->ino,
		.generation = fact->generation,
		.dev = major(dev) << 20 | minor(dev),
	};
	int r = object_programs_describe(objects->programs, &describe);

	*out = describe.detail;
	return r;
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
	objects->table = g_array_new(FALSE, FALSE, sizeof(struct object));
	objects->details = g_array_new(FALSE, FALSE, sizeof(struct seen_detail));
	objects->by_inode = g_ptr_array_new();
	quiet_list_init(&objects->quiet);
	objects->facts_of = g_array_new(FALSE, FALSE, sizeof(struct facts_of));
	first_look_init(&objects->first);
	own_files_init(&objects->own);
	*out = objects;
	return 0;
}

void objects_free(struct objects *objects)
{
	if (!objects)
		return;
	object_programs_free(objects->programs);
	g_array_unref(objects->table);
	g_array_unref(objects->details);
	g_ptr_array_unref(objects->by_inode);
	quiet_list_clear(&objects->quiet);
	g_array_unref(objects->facts_of);
	first_look_clear(&objects->first);
	own_files_clear(&objects->own);
	g_free(objects);
}

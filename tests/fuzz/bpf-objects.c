/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: what the BPF programs record of inodes, and of the files that sockets and rings hold, to the
 * tables that are made of it. Whatever they record, each object of the table is found by its key and
 * by its inode, in order, and objects with a name are of the tmpfs that was asked for; and holders are in order, each once.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/bpf-objects
 *	build-fuzz/tests/fuzz/bpf-objects tests/fuzz/corpus-bpf-objects
 */
#include "base/memfd.h"
#include "census/census-private.h"
#include "census/object/holder-records.h"
#include "census/object/holder-rows.h"
#include "census/object/objects.h"
#include "census/object/programs.h"
#include "census/object/self-test.h"
#include "input.h"
#include "procfs/memory-room.h"

#include <errno.h>
#include <sys/sysmacros.h>

#define ROWS 12
#define SHM 0x0300017u /* devices, as the kernel encodes them */
#define INTERNAL 0x1u

struct object_programs {
	struct input input;
	struct seen_object objects[ROWS];
	struct seen_detail details[ROWS];
	struct quiet_object quiet[ROWS];
	struct quiet_fact facts[2 * ROWS]; /* of two devices */
	size_t facts_used;
	struct own_file own[ROWS];
};

static uint8_t byte(struct object_programs *programs)
{
	return input_byte(&programs->input);
}

static uint64_t number(struct object_programs *programs)
{
	return input_number(&programs->input);
}

static int maybe_error(struct object_programs *programs)
{
	static const int errors[] = { -ENOMEM, -EAGAIN, -ENODEV, -EPERM };
	uint8_t which = byte(programs);

	return which < 240 ? 0 : errors[which % G_N_ELEMENTS(errors)];
}

/* The programs */

static struct object_programs told;

int object_programs_load(struct object_programs **out, const char **why)
{
	(void)why;
	*out = &told;
	return 0;
}

void object_programs_free(struct object_programs *programs)
{
	(void)programs;
}

/* Of one walk all are of one device. */
static void see_object(struct object_programs *programs, dev_t dev, struct seen_object *seen,
	size_t details)
{
	*seen = (struct seen_object){
		.inode = number(programs),
		.ino = number(programs),
		.blocks = number(programs),
		.swapped = number(programs),
		.dev = major(dev) << 20 | minor(dev),
		.generation = byte(programs),
		.references = number(programs),
		.flags = byte(programs),
		.writers = byte(programs) - 8,
		.readers = number(programs),
		.nlink = number(programs),
		.size = number(programs),
		.uid = byte(programs),
		.detail = byte(programs) % (details + 1),
	};
}

static void see_facts(struct object_programs *programs, struct object_list *out)
{
	out->facts = programs->facts_used + out->n_quiet <= G_N_ELEMENTS(programs->facts);
	out->first_fact = programs->facts_used;
	for (size_t i = 0; out->facts && i < out->n_quiet; i++)
		programs->facts[programs->facts_used++] = (struct quiet_fact){
			.inode = number(programs),
			.ino = programs->quiet[i].ino,
			.size = number(programs),
		};
}

int object_programs_walk(struct object_programs *programs, int fd, dev_t dev, unsigned also,
	struct object_list *out)
{
	(void)fd;
	*out = (struct object_list){
		.at = programs->objects,
		.count = byte(programs) % ROWS,
		.details = programs->details,
		.n_details = byte(programs) % ROWS,
		.quiet = programs->quiet,
		.n_quiet = byte(programs) % ROWS,
		.quiet_blocks = number(programs),
		.quiet_swapped = number(programs),
	};
	for (size_t i = 0; i < out->count; i++)
		see_object(programs, dev, &programs->objects[i], out->n_details);
	for (size_t i = 0; i < out->n_details; i++)
		input_text(&programs->input, programs->details[i].name, OBJECT_NAME);
	for (size_t i = 0; i < out->n_quiet; i++)
		programs->quiet[i] = (struct quiet_object){ number(programs), byte(programs), 0 };
	if (also & WALK_FACTS)
		see_facts(programs, out);
	return maybe_error(programs);
}

const struct quiet_fact *object_programs_facts(const struct object_programs *programs)
{
	return programs->facts;
}

void object_programs_drop_facts(struct object_programs *programs)
{
	programs->facts_used = 0;
}

int object_programs_describe(struct object_programs *programs, struct object_describe *describe)
{
	(void)describe;
	return maybe_error(programs);
}

void object_programs_walked(struct object_programs *programs)
{
	(void)programs;
}

int object_programs_look(struct object_programs *programs, int fd, struct seen_object *out)
{
	(void)fd;
	see_object(programs, 0, out, 0);
	return maybe_error(programs);
}

int object_programs_look_sysv(struct object_programs *programs, int shmid, struct seen_object *out)
{
	return object_programs_look(programs, shmid, out);
}

int object_programs_own_files(struct object_programs *programs, const struct own_file **out,
	size_t *count)
{
	*count = byte(programs) % ROWS;
	for (size_t i = 0; i < *count; i++)
		programs->own[i] =
			(struct own_file){ number(programs), number(programs), number(programs) };
	*out = programs->own;
	return maybe_error(programs);
}

int object_self_test(struct object_programs *programs, enum object_case fault, bool *sysv,
	const char **why)
{
	(void)programs, (void)fault, (void)why;
	*sysv = true;
	return 0;
}

/* The rest of a census, for census_each_named(): the objects that were found, and some that are used. */

static struct objects *listed;

const struct objects *object_side_found(const struct object_side *side)
{
	(void)side;
	return listed;
}

struct objects *object_side_get(struct object_side *side, bool wait)
{
	(void)side, (void)wait;
	return listed;
}

void census_each_segment(struct census *census,
	void (*visit)(const struct segment_key *key, const struct usage *usage, void *data),
	void *data)
{
	const struct usage usage = { .openers = 1 };

	(void)census;
	for (unsigned n = byte(&told) % 4; n > 0; n--) {
		const struct segment_key key = {
			.dev = makedev(SHM >> 20, SHM & 0xfffff),
			.ino = number(&told),
			.class = byte(&told) & 1 ? SEGMENT_FILE : SEGMENT_SYSV,
		};

		visit(&key, &usage, data);
	}
}

/* Of the machine: descriptors, which nothing uses here, and room. */

int memfd_new(unsigned flags)
{
	return flags ? -EMFILE - 1000 : 1 << 20;
}

bool memory_has_room(uint64_t bytes)
{
	return bytes % 2;
}

/* The checks */

static void check_table(const struct objects *objects)
{
	const struct object *last = NULL;

	for (size_t i = 0; i < objects_count(objects); i++) {
		const struct object *object = objects_at(objects, i);
		struct object found;

		g_assert(!last || last->key.dev <= object->key.dev);
		g_assert(!last || last->key.dev < object->key.dev ||
			last->key.ino <= object->key.ino);
		g_assert(objects_find_inode(objects, object->inode)->inode == object->inode);
		if (object->key.class != SEGMENT_SYSV) {
			g_assert(objects_find(objects, &object->key, &found));
			g_assert(segment_key_equal(&found.key, &object->key));
			g_assert(found.references >= object->references);
		}
		if (object->detail)
			g_assert(memchr(objects_detail(objects, object)->name, 0, OBJECT_NAME));
		last = object;
	}
}

static void check_quiet(const struct objects *objects)
{
	const struct quiet_list *list = objects_quiet(objects);

	for (guint i = 0; i < list->devices->len; i++) {
		const struct quiet_device *device =
			&g_array_index(list->devices, struct quiet_device, i);
		size_t n = 0;
		guint guess = 0;

		g_assert(device->first + device->n <= list->objects->len);
		if (objects_facts(objects, device->dev, &n))
			g_assert(n == device->n);
		for (guint j = device->first; j < device->first + device->n; j++) {
			const struct quiet_object *quiet =
				&g_array_index(list->objects, struct quiet_object, j);

			g_assert(quiet_list_find(list, device->dev, quiet->ino, &guess)->ino ==
				quiet->ino);
		}
	}
}

static void see_named(const struct named_object *object, void *data)
{
	uint64_t *dev = data;
	char name[CENSUS_NAME];
	struct census census = { 0 };
	struct stat st;

	g_assert(object->key.dev == *dev && object->key.class == SEGMENT_FILE);
	if (census_describe(&census, object, &st, name) == 0)
		g_assert(st.st_ino == object->key.ino);
}

static void check_named(struct objects *objects, uint64_t dev)
{
	struct census census = { 0 };

	listed = objects;
	census_each_named(&census, dev, see_named, &dev);
	listed = NULL;
}

static void look(struct objects *objects, struct object_programs *programs)
{
	const struct device known[] = {
		{ .dev = makedev(SHM >> 20, SHM & 0xfffff), .role = DEVICE_SHM },
		{ .dev = makedev(INTERNAL >> 20, INTERNAL & 0xfffff), .role = DEVICE_INTERNAL },
	};
	struct devices devices = { .set = g_array_new(FALSE, FALSE, sizeof(struct device)) };

	g_array_append_vals(devices.set, known, G_N_ELEMENTS(known));
	for (unsigned n = 1 + byte(programs) % 2; n > 0; n--) {
		objects_begin(objects, &devices);
		objects_end(objects, &devices, byte(programs) & 1);
		check_table(objects);
		check_quiet(objects);
		check_named(objects, known[0].dev);
	}
	objects_forget(objects);
	g_array_unref(devices.set);
}

static void see_holder(struct object_programs *programs, struct seen_holder *seen)
{
	*seen = (struct seen_holder){
		.queue = byte(programs) % 8,
		.queue_ino = byte(programs),
		.ring = byte(programs) % 4,
		.file = byte(programs) % 8,
		.inode = byte(programs) % 8,
		.socket = byte(programs) % 8,
		.flags = number(programs),
		.pid = byte(programs) % 4,
		.task = byte(programs) % 4,
		.uid = number(programs),
		.fd = byte(programs) % 4 - 1,
		.number = number(programs),
	};
}

static void find_holders(struct object_programs *programs)
{
	g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(struct seen_holder));
	g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct holder));

	while (input_left(&programs->input) && records->len < 64) {
		struct seen_holder seen;

		see_holder(programs, &seen);
		g_array_append_val(records, seen);
	}
	holder_rows(records, rows);
	for (guint i = 1; i < rows->len; i++) {
		const struct holder *at = &g_array_index(rows, struct holder, i);

		g_assert(at[-1].inode <= at->inode);
		g_assert(at[-1].inode != at->inode || at[-1].type != at->type ||
			at[-1].number != at->number || at[-1].pid != at->pid ||
			at[-1].file != at->file);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct objects *objects;
	const char *why;

	told.input = (struct input){ data, data + size };
	if (byte(&told) & 1) {
		find_holders(&told);
		return 0;
	}
	g_assert(objects_open(byte(&told) & 1, &objects, &why) == 0);
	look(objects, &told);
	objects_free(objects);
	return 0;
}

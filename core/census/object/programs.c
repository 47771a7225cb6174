/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/programs.h"

#include "bpf/loading.h"
#include "bpf/refusal.h"
#include "procfs/memory-room.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "object.lskel.h" /* it needs those above */

#include <bpf/bpf.h>

/* Initial sizes of the maps; grow() makes them larger. */
#define OBJECTS_MIN 4096
#define QUIET_MIN 4096
#define FACTS_MIN 1024
#define DETAILS_MIN 1024
#define OWN_MIN 4096

/*
 * What the kernel takes at most while it verifies and loads the programs, and gives back then:
 * measured at start, 5.7 MB.
 */
#define LOADING_BYTES (6 << 20)

/* A list of so many bytes stays mapped from one walk to the next. */
#define MAPPED_MAX (1024 * 1024)

#define TORN_TRIES 64

struct object_programs {
	GRWLock lock; /* grow() holds it to write, look() to read */
	struct object_bpf *skeleton;
	/*
	 * Protected by `lock`, as `skeleton`. Without it they are read only while no other thread
	 * can call grow().
	 */
	size_t objects_max, quiet_max, facts_max, details_max, own_max;
	const struct seen_object *objects; /* NULL: not mapped, but for a walk */
	const struct quiet_object *quiet;  /* likewise */
	const struct quiet_fact
		*facts; /* NULL: not mapped, but from a walk to object_programs_drop_facts() */
	size_t facts_used;
	bool facts_lost;
	const struct seen_detail *details;
	const struct own_file *own;
};

static void unmap(const void *at, size_t size)
{
	if (at)
		munmap((void *)at, size);
}

static void unload(void *data)
{
	struct object_programs *programs = data;

	if (!programs->skeleton)
		return;
	unmap(programs->objects, programs->objects_max * sizeof *programs->objects);
	unmap(programs->quiet, programs->quiet_max * sizeof *programs->quiet);
	unmap(programs->facts, programs->facts_max * sizeof *programs->facts);
	unmap(programs->details, programs->details_max * sizeof *programs->details);
	unmap(programs->own, programs->own_max * sizeof *programs->own);
	object_bpf__destroy(programs->skeleton);
	programs->objects = NULL;
	programs->quiet = NULL;
	programs->facts = NULL;
	programs->facts_lost = programs->facts_used > 0;
	programs->details = NULL;
	programs->own = NULL;
	programs->skeleton = NULL;
}

static int load(void *data)
{
	struct object_programs *programs = data;
	struct object_bpf *skeleton = object_bpf__open();
	int r;

	if (!skeleton)
		return -ENOMEM;
	programs->skeleton = skeleton;
	skeleton->maps.objects.max_entries = programs->objects_max;
	skeleton->maps.quiet.max_entries = programs->quiet_max;
	skeleton->maps.facts.max_entries = programs->facts_max;
	skeleton->maps.details.max_entries = programs->details_max;
	skeleton->maps.own.max_entries = programs->own_max;
	r = object_bpf__load(skeleton);
	if (r < 0)
		return r;
	programs->details = program_map(skeleton->maps.details.map_fd,
		programs->details_max * sizeof *programs->details);
	programs->own =
		program_map(skeleton->maps.own.map_fd, programs->own_max * sizeof *programs->own);
	return programs->details && programs->own ? 0 : -errno;
}

/*
 * Loads the programs again, with room for `wanted` elements in a map, whose size is fixed; NULL: as
 * before.
 */
static int load_again(struct object_programs *programs, size_t *max, size_t wanted)
{
	size_t before = max ? *max : 0;
	int r;

	g_rw_lock_writer_lock(&programs->lock);
	unload(programs);
	if (max)
		*max = MAX(before, wanted);
	r = program_load(load, unload, programs);
	if (r < 0 && max)
		*max = before;
	g_rw_lock_writer_unlock(&programs->lock);
	return r;
}

/*
 * Whether there is room to load the programs with all their maps, one of them with so many bytes more. The kernel
 * may free those of before only later.
 */
static bool has_room_to_load(const struct object_programs *programs, size_t more)
{
	return memory_has_room(programs->objects_max * sizeof *programs->objects +
		programs->quiet_max * sizeof *programs->quiet +
		programs->facts_max * sizeof *programs->facts +
		programs->details_max * sizeof *programs->details +
		programs->own_max * sizeof *programs->own + more + LOADING_BYTES);
}

static int grow(struct object_programs *programs, size_t *max, size_t wanted, size_t size)
{
	if (!has_room_to_load(programs, (wanted + wanted / 8) * size))
		return -ENOMEM;
	/* Only a little more than is wanted: all of a map is in the memory of this process. */
	return load_again(programs, max, wanted + wanted / 8);
}

/* Runs a program. After grow() has failed there are none, until prepare() succeeds. */
#define RUN(programs, name, context)                                                               \
	((programs)->skeleton ? program_run((programs)->skeleton->progs.name.prog_fd, context,     \
					sizeof *(context)) :                                       \
				-ENXIO)

/*
 * Runs look_at_inode(). -EAGAIN while the programs are loaded again: request threads call this, and
 * must not wait for that.
 */
static int look(struct object_programs *programs, struct object_look *look)
{
	int r;

	if (!g_rw_lock_reader_trylock(&programs->lock))
		return -EAGAIN;
	r = RUN(programs, look_at_inode, look);
	g_rw_lock_reader_unlock(&programs->lock);
	return r;
}

/*
 * There may have been too little memory to load the programs, or too few descriptors; there may be enough now, at
 * least without the room for facts, which only sums ask for.
 */
static int prepare(struct object_programs *programs)
{
	if (programs->skeleton)
		return 0;
	if (!has_room_to_load(programs, 0))
		programs->facts_max = FACTS_MIN;
	return has_room_to_load(programs, 0) ? load_again(programs, NULL, 0) : -ENOMEM;
}

static int walk_once(struct object_programs *programs, int fd, dev_t dev, unsigned also,
	struct object_walk *walk)
{
	int r = prepare(programs);

	if (r < 0)
		return r;
	*walk = (struct object_walk){
		.fd = fd,
		.dev = dev ? major(dev) << 20 | minor(dev) : 0,
		.whole = (also & WALK_WHOLE) != 0,
		.facts = (also & WALK_FACTS) != 0,
		.first_fact = programs->facts_used,
	};
	return RUN(programs, walk_inodes, walk);
}

/*
 * Without facts there is another way to sums: a lack of memory for them is no error, and the walk
 * is made again without. The kernel may have refused the larger map, after the programs had been
 * unloaded: prepare() loads them as they were.
 */
static int make_room_for_facts(struct object_programs *programs, const struct object_walk *walk,
	unsigned *also)
{
	size_t wanted = (size_t)walk->first_fact + walk->quiet;

	if (!walk->facts || wanted <= programs->facts_max)
		return 1;
	if (grow(programs, &programs->facts_max, wanted, sizeof *programs->facts) == 0)
		return 0;
	*also &= ~WALK_FACTS;
	return prepare(programs);
}

/* 1: there was room for all that the walk has found; 0: there is now; or a negative errno. */
static int make_room(struct object_programs *programs, const struct object_walk *walk,
	unsigned *also)
{
	if (walk->count > programs->objects_max)
		return grow(programs, &programs->objects_max, walk->count,
			sizeof *programs->objects);
	if (walk->quiet > programs->quiet_max)
		return grow(programs, &programs->quiet_max, walk->quiet, sizeof *programs->quiet);
	if (walk->details > programs->details_max)
		return grow(programs, &programs->details_max, walk->details,
			sizeof *programs->details);
	return make_room_for_facts(programs, walk, also);
}

/* Both may be too large to be mapped all the time: object_programs_walked(). */
static int map_lists(struct object_programs *programs, bool facts)
{
	const struct object_bpf *skeleton = programs->skeleton;

	if (!programs->objects)
		programs->objects = program_map(skeleton->maps.objects.map_fd,
			programs->objects_max * sizeof *programs->objects);
	if (!programs->quiet)
		programs->quiet = program_map(skeleton->maps.quiet.map_fd,
			programs->quiet_max * sizeof *programs->quiet);
	if (facts && !programs->facts)
		programs->facts = program_map(skeleton->maps.facts.map_fd,
			programs->facts_max * sizeof *programs->facts);
	return programs->objects && programs->quiet ? 0 : -errno;
}

int object_programs_walk(struct object_programs *programs, int fd, dev_t dev, unsigned also,
	struct object_list *out)
{
	struct object_walk walk;
	int r;

	for (unsigned torn = 0; torn < TORN_TRIES;) {
		r = walk_once(programs, fd, dev, also, &walk);
		if (r == 0 && walk.status == WALK_NONE)
			r = -ENODEV;
		else if (r == 0 && walk.status == WALK_TORN)
			torn++;
		else if (r == 0 && (r = make_room(programs, &walk, &also)) > 0)
			break;
		if (r < 0)
			return r;
	}
	if (walk.status != WALK_DONE)
		return -EAGAIN;
	r = map_lists(programs, walk.facts);
	*out = (struct object_list){
		.at = programs->objects,
		.count = walk.count,
		.details = programs->details,
		.n_details = walk.details,
		.quiet = programs->quiet,
		.n_quiet = walk.quiet,
		.quiet_blocks = walk.quiet_blocks,
		.quiet_swapped = walk.quiet_swapped,
		.facts = walk.facts && !walk.unclear && programs->facts,
		.first_fact = walk.first_fact,
	};
	if (r == 0 && out->facts)
		programs->facts_used += walk.quiet;
	return r;
}

/* Unmaps it, if it is large. */
static const void *unmap_large(const void *at, size_t size)
{
	if (size <= MAPPED_MAX)
		return at;
	unmap(at, size);
	return NULL;
}

void object_programs_walked(struct object_programs *programs)
{
	programs->objects =
		unmap_large(programs->objects, programs->objects_max * sizeof *programs->objects);
	programs->quiet =
		unmap_large(programs->quiet, programs->quiet_max * sizeof *programs->quiet);
}

const struct quiet_fact *object_programs_facts(const struct object_programs *programs)
{
	return programs->facts_lost ? NULL : programs->facts;
}

void object_programs_drop_facts(struct object_programs *programs)
{
	programs->facts =
		unmap_large(programs->facts, programs->facts_max * sizeof *programs->facts);
	programs->facts_used = 0;
	programs->facts_lost = false;
}

int object_programs_describe(struct object_programs *programs, struct object_describe *describe)
{
	int r;

	g_rw_lock_reader_lock(&programs->lock);
	r = RUN(programs, describe_inode, describe);
	g_rw_lock_reader_unlock(&programs->lock);
	return r == 0 && !describe->found ? -ENOENT : r;
}

int object_programs_look(struct object_programs *programs, int fd, struct seen_object *out)
{
	struct object_look ask = { .fd = fd };
	int r = look(programs, &ask);

	if (r == 0)
		*out = ask.object;
	return r == 0 && !ask.found ? -EBADF : r;
}

int object_programs_look_sysv(struct object_programs *programs, int shmid, struct seen_object *out)
{
	struct object_look ask = { .sysv = true, .shmid = shmid };
	int r = look(programs, &ask);

	if (r == 0)
		*out = ask.object;
	return r == 0 && !ask.found ? -ENOENT : r;
}

int object_programs_own_files(struct object_programs *programs, const struct own_file **out,
	size_t *count)
{
	struct own_files list;
	int r;

	do {
		list = (struct own_files){ 0 };
		r = prepare(programs);
		if (r == 0)
			r = RUN(programs, list_own_files, &list);
		if (r == 0 && list.count > programs->own_max)
			r = grow(programs, &programs->own_max, list.count, sizeof *programs->own);
		else
			break;
	} while (r == 0);
	*out = programs->own;
	*count = list.count;
	return r;
}

int object_programs_load(struct object_programs **out, const char **why)
{
	struct object_programs *programs;
	int r;

	*why = refusal_expected();
	if (*why)
		return -EPERM;
	programs = g_new0(struct object_programs, 1);
	g_rw_lock_init(&programs->lock);
	programs->objects_max = OBJECTS_MIN;
	programs->quiet_max = QUIET_MIN;
	programs->facts_max = FACTS_MIN;
	programs->details_max = DETAILS_MIN;
	programs->own_max = OWN_MIN;
	r = program_load(load, unload, programs);
	if (r < 0) {
		*why = refusal_cause(r);
		object_programs_free(programs);
		return r;
	}
	*out = programs;
	return 0;
}

void object_programs_free(struct object_programs *programs)
{
	if (!programs)
		return;
	unload(programs);
	g_rw_lock_clear(&programs->lock);
	g_free(programs);
}

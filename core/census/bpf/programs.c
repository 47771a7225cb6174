/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads the programs by a light skeleton: a loader program in the kernel loads the others, and
 * resolves there what they use of the kernel's types and functions. libbpf would read and search a
 * copy of all of these types, which takes three times as long.
 */
#include "census/bpf/programs.h"

#include "bpf/loading.h"
#include "base/util.h"
#include "bpf/refusal.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.lskel.h" /* it needs those above */

#include <bpf/bpf.h>

/* How many mappings one run of the program returns at most; for more it runs again. */
#define MAPPINGS_MAX 1024
/* More threads would gain little: only one at a time puts what was read into the table. */
#define SLOTS_MAX 4
/* Initial room for versions; programs_walk() makes more where there are more processes. */
#define VERSIONS_MIN 1024
#define DESCRIPTORS_MAX 256

struct programs {
	struct census_bpf *skeleton;
	pid_t self;
	unsigned slots;
	size_t versions_max;
	const struct mm_version *versions;
	const struct seen_mapping *mappings;
};

static size_t versions_size(const struct programs *programs)
{
	return programs->versions_max * sizeof(struct mm_version);
}

static size_t mappings_size(const struct programs *programs)
{
	return programs->slots * MAPPINGS_MAX * sizeof(struct seen_mapping);
}

static void unload(void *data)
{
	struct programs *programs = data;

	if (programs->skeleton == NULL)
		return;
	if (programs->versions != NULL)
		munmap((void *)programs->versions, versions_size(programs));
	if (programs->mappings != NULL)
		munmap((void *)programs->mappings, mappings_size(programs));
	census_bpf__destroy(programs->skeleton);
	programs->versions = NULL;
	programs->mappings = NULL;
	programs->skeleton = NULL;
}

static int load(void *data)
{
	struct programs *programs = data;
	struct census_bpf *skeleton = census_bpf__open();
	int r;

	if (skeleton == NULL)
		return -ENOMEM;
	programs->skeleton = skeleton;
	skeleton->rodata->self = programs->self;
	skeleton->maps.versions.max_entries = programs->versions_max;
	skeleton->maps.mappings.max_entries = programs->slots * MAPPINGS_MAX;
	r = census_bpf__load(skeleton);
	if (r < 0)
		return r;
	r = census_bpf__read_descriptors__attach(skeleton);
	if (r < 0)
		return r;
	programs->versions = program_map(skeleton->maps.versions.map_fd, versions_size(programs));
	programs->mappings = program_map(skeleton->maps.mappings.map_fd, mappings_size(programs));
	return programs->versions != NULL && programs->mappings != NULL ? 0 : -errno;
}

static int walk_once(struct programs *programs, struct walk *walk, struct mm_versions *versions)
{
	int err;

	memset(walk, 0, sizeof *walk);
	err = program_run(programs->skeleton->progs.walk.prog_fd, walk, sizeof *walk);
	if (err != 0)
		return err == -ENOSPC ? -EIO : err;
	if (walk->count > programs->versions_max)
		return -ENOSPC;
	*versions = (struct mm_versions){
		.at = programs->versions,
		.count = walk->count,
		.pid_cursor = walk->pid_cursor,
		.uncertain = walk->uncertain,
		.met = walk->met,
		.partial = walk->level != 0,
		.quiet = walk->pid_cursor == walk->pid_cursor_after,
	};
	return 0;
}

int programs_walk_at_once(struct programs *programs, struct mm_versions *versions)
{
	struct walk walk;

	return programs->skeleton == NULL ? -ENOSPC : walk_once(programs, &walk, versions);
}

int programs_walk(struct programs *programs, struct mm_versions *versions)
{
	struct walk walk;
	int err;

	for (;;) {
		if (programs->skeleton == NULL && (err = program_load(load, unload, programs)) != 0)
			return err;
		err = walk_once(programs, &walk, versions);
		if (err != -ENOSPC)
			return err;
		/*
		 * A map cannot grow: the programs are loaded again, which costs 15 ms, once for
		 * each doubling.
		 */
		unload(programs);
		programs->versions_max = walk.count * 2;
	}
}

unsigned programs_slots(const struct programs *programs)
{
	return programs->slots;
}

int programs_read(struct programs *programs, unsigned slot, struct mm_version *version,
	bool to_the_end, void (*visit)(const struct seen_mapping *seen, void *data), void *data)
{
	struct read_space ask = {
		.mm = version->mm,
		.task = version->task,
		.first = slot * MAPPINGS_MAX,
		.room = MAPPINGS_MAX,
	};

	bool torn = false;

	for (bool first = true;; first = false) {
		uint32_t seq = ask.seq;
		int err =
			program_run(programs->skeleton->progs.read_space.prog_fd, &ask, sizeof ask);

		if (err != 0)
			return err;
		if (ask.status != READ_DONE && ask.status != READ_MORE)
			return ask.status;
		torn |= ask.torn || (!first && seq != ask.seq);
		if (torn && !to_the_end)
			return READ_TORN;
		for (uint32_t i = 0; i < ask.count; i++)
			visit(&programs->mappings[ask.first + i], data);
		if (ask.status == READ_DONE)
			break;
		ask.from = ask.next;
	}
	version->seq = ask.seq;
	return torn ? READ_TORN : READ_DONE;
}

int programs_descriptors(struct programs *programs,
	void (*visit)(const struct seen_descriptor *seen, void *data), void *data)
{
	auto_fd fd = bpf_iter_create(programs->skeleton->links.read_descriptors_fd);
	g_autofree struct seen_descriptor *buffer = NULL;
	ssize_t got;

	if (fd < 0)
		return -errno;
	/* A read gives whole records as long as the kernel's buffer, of 32 KiB, fits into ours. */
	buffer = g_new(struct seen_descriptor, DESCRIPTORS_MAX);
	for (;;) {
		got = read(fd, buffer, DESCRIPTORS_MAX * sizeof *buffer);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue; /* EAGAIN: after a million descriptors without a record */
		if (got <= 0)
			return got < 0 ? -errno : 0;
		for (size_t i = 0; i < (size_t)got / sizeof *buffer; i++)
			visit(&buffer[i], data);
	}
}

static int own_seq(struct programs *programs, uint32_t *seq)
{
	struct read_space ask;
	int err;

	do { /* another thread of the daemon may have the lock */
		ask = (struct read_space){ 0 };
		err = program_run(programs->skeleton->progs.read_space.prog_fd, &ask, sizeof ask);
	} while (err == 0 && (ask.status == READ_BUSY || ask.torn));
	*seq = ask.seq;
	if (err == 0 && ask.status == READ_GONE)
		err = -ESRCH;
	return err;
}

/*
 * Checks, on the daemon's own address space, that a version changes when its mappings change: the
 * whole back end relies on that. -ENOTSUP if it does not.
 */
static int try_version(struct programs *programs)
{
	uint32_t before, after;
	void *page;
	int err;

	err = own_seq(programs, &before);
	if (err != 0)
		return err;
	page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	munmap(page, 1);
	err = own_seq(programs, &after);
	return err != 0 ? err : before != after ? 0 : -ENOTSUP;
}

int programs_load(pid_t self, struct programs **out, const char **why)
{
	struct programs *programs;
	struct mm_versions versions;
	int err;

	*why = refusal_expected();
	if (*why != NULL)
		return -EPERM;
	programs = g_new0(struct programs, 1);
	programs->self = self;
	programs->slots = CLAMP(g_get_num_processors(), 1, SLOTS_MAX);
	programs->versions_max = VERSIONS_MIN;
	err = programs_walk(programs, &versions);
	if (err == 0)
		err = try_version(programs);
	if (err != 0) {
		*why = refusal_cause(err);
		programs_free(programs);
		return err;
	}
	*out = programs;
	return 0;
}

void programs_free(struct programs *programs)
{
	unload(programs);
	g_free(programs);
}

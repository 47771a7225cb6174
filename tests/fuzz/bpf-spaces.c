/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: what the BPF programs of the census record of address spaces and descriptors, to the back end
 * that makes the table of it. An input says what each walk, each reading and procfs tell, in passes on
 * one table. Whatever they tell, the sums of each segment are those of its rows.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/bpf-spaces
 *	build-fuzz/tests/fuzz/bpf-spaces tests/fuzz/corpus-bpf-spaces
 */
#include "census/bpf/programs.h"
#include "census/pass/backend.h"
#include "census/pass/stall.h"
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define VERSIONS 8
#define ROWS 8
#define PIDS 6
#define SHM_DEV 0x0300017u /* as the kernel encodes it */

struct proc {
	char *prefix; /* a directory with a file `maps` for some of the threads */
};

/* What the programs tell. */
static struct {
	struct input input;
	struct mm_version versions[VERSIONS];
	size_t n;
	uint32_t internal;
} kernel;

static uint8_t byte(void)
{
	return input_byte(&kernel.input);
}

static uint64_t number(void)
{
	return input_number(&kernel.input);
}

static int maybe_error(void)
{
	static const int errors[] = { -ENOMEM, -EMFILE, -EAGAIN, -EPERM, -ENOSPC };
	uint8_t which = byte();

	return which < 240 ? 0 : errors[which % G_N_ELEMENTS(errors)];
}

/* The programs */

int programs_load(pid_t self, struct programs **out, const char **why)
{
	(void)self, (void)why;
	*out = NULL;
	return 0;
}

void programs_free(struct programs *programs)
{
	(void)programs;
}

unsigned programs_slots(const struct programs *programs)
{
	(void)programs;
	return 1;
}

static void change_version(struct mm_version *version)
{
	*version = (struct mm_version){
		.mm = number(),
		.start_time = byte() % 4,
		.exec_id = byte() % 4,
		.task = byte(),
		.seq = number(),
		.pid = byte() % PIDS,
		.thread = byte() % PIDS,
		.uid = number(),
	};
	input_text(&kernel.input, version->command, sizeof version->command);
}

static int walk(struct mm_versions *versions)
{
	uint8_t how = byte();

	if (how & 1)
		kernel.n = byte() % (VERSIONS + 1);
	for (size_t i = 0; how & 2 && i < kernel.n; i++)
		if (byte() & 1)
			change_version(&kernel.versions[i]);
	*versions = (struct mm_versions){
		.at = kernel.versions,
		.count = kernel.n,
		.pid_cursor = how & 4 ? number() : 0,
		.uncertain = how & 8 ? number() : 0,
		.met = how & 16 ? number() : 0,
		.partial = how & 32,
		.quiet = !(how & 64),
	};
	return how & 128 ? maybe_error() : 0;
}

int programs_walk(struct programs *programs, struct mm_versions *versions)
{
	(void)programs;
	return walk(versions);
}

int programs_walk_at_once(struct programs *programs, struct mm_versions *versions)
{
	(void)programs;
	return walk(versions);
}

static void see_file(struct seen_file *file)
{
	const uint32_t devs[] = { SHM_DEV, kernel.internal, byte(), 0x0500001 };

	file->file = number();
	file->ino = number();
	file->dev = devs[byte() % G_N_ELEMENTS(devs)];
	file->ipc_ns = number();
	input_text(&kernel.input, file->name, sizeof file->name);
}

int programs_read(struct programs *programs, unsigned slot, struct mm_version *version,
	bool to_the_end, void (*visit)(const struct seen_mapping *seen, void *data), void *data)
{
	static const int results[] = { READ_DONE, READ_DONE, READ_DONE, READ_DONE, READ_GONE,
		READ_BUSY, READ_TORN, -ENOMEM };
	uint8_t how = byte();
	struct seen_mapping seen = { 0 };

	(void)programs, (void)slot, (void)to_the_end;
	for (unsigned n = how / 8 % ROWS; n > 0; n--) {
		seen.start = number();
		seen.end = seen.start + number();
		seen.pgoff = number();
		seen.flags = number();
		seen.same_file = byte() & 1;
		if (!seen.same_file)
			see_file(&seen.file);
		visit(&seen, data);
	}
	if (how & 128)
		version->seq = number();
	return results[how % G_N_ELEMENTS(results)];
}

int programs_descriptors(struct programs *programs,
	void (*visit)(const struct seen_descriptor *seen, void *data), void *data)
{
	(void)programs;
	for (unsigned n = byte() % ROWS; n > 0; n--) {
		struct seen_descriptor seen = {
			.table = number(),
			.start_time = byte() % 4,
			.pid = byte() % PIDS,
			.task = byte() % PIDS,
			.uid = number(),
			.fd = number(),
			.flags = number(),
		};

		input_text(&kernel.input, seen.command, sizeof seen.command);
		see_file(&seen.file);
		visit(&seen, data);
	}
	return maybe_error();
}

/* procfs */

bool proc_is_own(const struct proc *proc)
{
	(void)proc;
	return true;
}

const char *proc_prefix(const struct proc *proc)
{
	return proc->prefix;
}

uint64_t proc_links(const struct proc *proc)
{
	(void)proc;
	return byte() % 4;
}

int proc_list(const struct proc *proc, GArray *pids)
{
	(void)proc;
	for (unsigned n = byte() % ROWS; n > 0; n--) {
		pid_t pid = byte() % (2 * PIDS);

		g_array_append_val(pids, pid);
	}
	return maybe_error();
}

int proc_open_pid(const struct proc *proc, pid_t pid)
{
	static const int errors[] = { -ENOENT, -ESRCH, -EMFILE, -EACCES };
	uint8_t which = byte();

	(void)proc, (void)pid;
	return which < 128 ? dup(STDIN_FILENO) : errors[which % G_N_ELEMENTS(errors)];
}

int proc_read_stat(int dir, struct proc_stat *stat)
{
	(void)dir;
	*stat = (struct proc_stat){ .state = 'R' };
	return maybe_error();
}

bool proc_is_kernel_thread(const struct proc_stat *stat)
{
	(void)stat;
	return byte() & 1;
}

bool proc_has_no_mm(const struct proc_stat *stat)
{
	(void)stat;
	return byte() & 1;
}

bool proc_is_alone(int dir)
{
	(void)dir;
	return byte() & 1;
}

bool stall_enter(pid_t pid, pid_t tid)
{
	(void)pid, (void)tid;
	return byte() < 224;
}

void stall_leave(void)
{
}

/* In the place of these, for the back end: a lock that others hold is waited for without any time. */
int fuzz_nanosleep(const struct timespec *time, struct timespec *left);
int fuzz_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time, (void)left;
	return 0;
}

int fuzz_clock_gettime(clockid_t clock, struct timespec *out);
int fuzz_clock_gettime(clockid_t clock, struct timespec *out)
{
	static uint64_t now;

	(void)clock;
	now += 1000 * 1000;
	*out = (struct timespec){ .tv_sec = now / 1000000000, .tv_nsec = now % 1000000000 };
	return 0;
}

/* The checks */

static bool count_mapping(const struct space *space, const struct mapping *row, void *data)
{
	(void)space, (void)row;
	++*(uint64_t *)data;
	return true;
}

static bool count_descriptor(const struct space *space, const struct descriptor *row, void *data)
{
	(void)space, (void)row;
	++*(uint64_t *)data;
	return true;
}

static void check_sums(const struct segment *segment, void *data)
{
	struct spaces *spaces = data;
	uint64_t mappings = 0, descriptors = 0;

	spaces_each_mapping(spaces, segment, count_mapping, &mappings);
	spaces_each_descriptor(spaces, segment, count_descriptor, &descriptors);
	g_assert(segment->usage.mappings == mappings);
	g_assert(segment->usage.openers == descriptors);
	g_assert(segment->usage.processes <= mappings);
	g_assert(spaces_find(spaces, &segment->key) == segment);
	g_array_unref(spaces_files(spaces, segment));
}

static void make_tree(struct proc *proc)
{
	g_autofree char *directory = g_dir_make_tmp("shmtree-fuzz-XXXXXX", NULL);

	g_assert(directory);
	for (int tid = 1; tid < PIDS - 1; tid++) {
		g_autofree char *process = g_strdup_printf("%s/%d", directory, tid);
		g_autofree char *maps = g_strdup_printf("%s/maps", process);

		g_assert(g_mkdir_with_parents(process, 0755) == 0);
		g_assert(g_file_set_contents(maps, "", 0, NULL));
	}
	proc->prefix = g_steal_pointer(&directory);
}

static void make_passes(const struct census_source *source)
{
	struct spaces *spaces = spaces_new();
	const char *why;
	void *state;

	g_assert(census_backend_bpf.open(source, &state, &why) == 0);
	for (unsigned n = 1 + byte() % 3; n > 0; n--) {
		unsigned facets = CENSUS_MAPPINGS | (byte() & 1 ? CENSUS_DESCRIPTORS : 0);
		struct census_tally tally = { 0 };

		spaces_begin(spaces);
		census_backend_bpf.pass(state, spaces, facets, &tally);
		spaces_end(spaces);
		spaces_each_segment(spaces, check_sums, spaces);
		census_backend_bpf.unchanged(state, CENSUS_MAPPINGS, &tally);
	}
	census_backend_bpf.free(state);
	spaces_free(spaces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct proc proc;
	static struct devices devices;
	struct census_source source = { .proc = &proc, .devices = &devices };

	if (!proc.prefix) {
		make_tree(&proc);
		g_assert(devices_init(&devices, makedev(SHM_DEV >> 20, SHM_DEV & 0xfffff)) == 0);
		kernel.internal = major(devices.internal) << 20 | minor(devices.internal);
	}
	memset(kernel.versions, 0, sizeof kernel.versions);
	kernel.n = 0;
	kernel.input = (struct input){ data, data + size };
	make_passes(&source);
	return 0;
}

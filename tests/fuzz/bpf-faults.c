/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: what the BPF program records of bus errors, to what keeps them and makes the files `faults` and
 * `faults.json`. Whatever it records, each row of the one has all columns, and the other is JSON.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/bpf-faults
 *	build-fuzz/tests/fuzz/bpf-faults build-fuzz/corpus/bpf-faults
 */
#include "caller/caller.h"
#include "bpf/loading.h"
#include "bpf/refusal.h"
#include "census/census.h"
#include "faults/faults.h"
#include "faults/self-test.h"
#include "faults/truncations.h"
#include "input.h"
#include "json-text.h"
#include "kinds/attribute.h"
#include "kinds/realm.h"
#include "procfs/cgroup-path.h"
#include "views/fault-rows.h"

#include "faults.lskel.h" /* that of this directory */

#include <bpf/libbpf.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define SHM 0x0300017u /* a device, as the kernel encodes it */
#define COLUMNS 14
#define INODES 8

static struct {
	struct input input;
	struct census *census;
	ring_buffer_sample_fn hand_on;
	void *data;
	struct fault_counts counts;
} kernel;

static uint8_t byte(void)
{
	return input_byte(&kernel.input);
}

static uint64_t number(void)
{
	return input_number(&kernel.input);
}

/* What the kernel does */

struct faults_bpf *faults_bpf__open(void)
{
	struct faults_bpf *skeleton = g_new0(struct faults_bpf, 1);

	skeleton->bss = g_malloc0(sizeof *skeleton->bss);
	skeleton->rodata = g_malloc0(sizeof *skeleton->rodata);
	return skeleton;
}

int faults_bpf__load(struct faults_bpf *skeleton)
{
	(void)skeleton;
	return 0;
}

int faults_bpf__see_signal__attach(struct faults_bpf *skeleton)
{
	(void)skeleton;
	return 1; /* a descriptor */
}

void faults_bpf__destroy(struct faults_bpf *skeleton)
{
	g_free(skeleton->bss);
	g_free(skeleton->rodata);
	g_free(skeleton);
}

const char *refusal_expected(void)
{
	return NULL;
}

const char *refusal_cause(int error)
{
	(void)error;
	return "refused";
}

int program_load(int (*load)(void *data), void (*undo)(void *data), void *data)
{
	(void)undo;
	return load(data);
}

int program_run(int program_fd, void *context, size_t size)
{
	(void)program_fd, (void)context, (void)size;
	return 0;
}

const void *program_map(int map_fd, size_t size)
{
	struct fault_counts *counts =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)map_fd;
	*counts = kernel.counts;
	return counts;
}

int libbpf_num_possible_cpus(void)
{
	return 1;
}

struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn sample_cb, void *ctx,
	const struct ring_buffer_opts *opts)
{
	(void)map_fd, (void)opts;
	kernel.hand_on = sample_cb;
	kernel.data = ctx;
	return (struct ring_buffer *)&kernel;
}

void ring_buffer__free(struct ring_buffer *rb)
{
	(void)rb;
}

int ring_buffer__epoll_fd(const struct ring_buffer *rb)
{
	(void)rb;
	return -1; /* the thread is never told of any: who asks takes them */
}

static void see(struct seen_fault *seen)
{
	*seen = (struct seen_fault){
		.time = number(),
		.start_time = number(),
		.address = number(),
		.ino = byte() % INODES,
		.offset = number(),
		.size = number(),
		.limit = number(),
		.used = number(),
		.huge_page = number(),
		.account = byte() % 4,
		.left_out = number(),
		.dev = byte() & 1 ? SHM : (uint32_t)number(),
		.ipc_ns = byte() % 3,
		.pid = (int32_t)number(),
		.uid = number(),
		.cause = byte() % FAULT_CAUSES,
		.flags = number(),
	};
	input_text(&kernel.input, seen->command, sizeof seen->command);
	input_text(&kernel.input, seen->name, sizeof seen->name);
}

/* A record may be of any length; a whole one comes from the program, which bounds the cause. */
int ring_buffer__consume(struct ring_buffer *rb)
{
	(void)rb;
	while (input_left(&kernel.input)) {
		struct seen_fault seen;
		uint8_t often = byte();
		size_t size = often > 250 ? number() % sizeof seen : sizeof seen;
		g_autofree void *record = NULL;

		see(&seen);
		record = g_memdup2(&seen, size); /* of that size exactly, for the sanitizer */
		for (unsigned n = often > 240 ? FAULTS_KEPT + 8 : 1; n > 0; n--)
			kernel.hand_on(kernel.data, record, size);
	}
	return 0;
}

int fault_self_test(struct fault_programs *programs, enum fault_case fault, const char **why)
{
	(void)programs, (void)fault, (void)why;
	return 0;
}

int cgroup_path_of(uint64_t inode, char **out)
{
	(void)inode;
	*out = NULL;
	return 0;
}

/* The checks */

static void check_table(const GString *text)
{
	unsigned tabs = 0;
	bool remark = false;

	g_assert(text->len > 0 && text->str[text->len - 1] == '\n');
	for (const char *at = text->str; *at; at++) {
		remark |= tabs == 0 && *at == '#' && (at == text->str || at[-1] == '\n');
		tabs += *at == '\t';
		if (*at == '\n') {
			g_assert(remark || tabs == COLUMNS - 1);
			tabs = 0;
			remark = false;
		}
	}
}

static void note_truncations(struct truncations *truncations)
{
	for (unsigned n = byte() % 4; n > 0; n--) {
		const struct segment_key key = {
			.dev = makedev(SHM >> 20, SHM & 0xfffff),
			.ino = byte() % INODES,
			.class = SEGMENT_FILE,
		};
		const struct shrink made = {
			.inode = key.ino,
			.from = number(),
			.to = number(),
			.after = (int64_t)number(),
			.until = (int64_t)number(),
			.process = { .pid = byte() % 4, .born = number(), .uid = number() },
		};

		truncations_note_outside(truncations, &key, &made);
	}
}

static void tell_nobody(const struct fault *fault, void *data)
{
	(void)data;
	g_assert(memchr(fault->unit, 0, sizeof fault->unit));
}

static void show(struct faults *faults)
{
	g_autoptr(GString) table = g_string_new(NULL), json = g_string_new(NULL);
	const struct realm realm = {
		.proc = "/proc",
		.census = kernel.census,
		.shm_dev = makedev(SHM >> 20, SHM & 0xfffff),
		.ipc_ns = 1,
		.ipc_ns_fd = -1,
		.shm_fd = -1,
	};
	const struct view view = { .realm = &realm };

	fault_rows_show(&view, faults, table);
	fault_rows_json(&view, faults, json);
	check_table(table);
	g_assert(json_text_is_valid(json->str, json->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct census_config census = { "/proc", CENSUS_TEXT,
		makedev(SHM >> 20, SHM & 0xfffff), 1 };
	struct truncations *truncations = truncations_new("/nowhere");
	struct faults_config config = { .truncations = truncations,
		.ipc_ns = 1,
		.tell = tell_nobody };
	struct faults *faults;

	kernel.input = (struct input){ data, data + size };
	if (!kernel.census)
		g_assert(census_new(&census, &kernel.census) == 0);
	config.census = kernel.census;
	for (unsigned i = 0; i < FAULT_CAUSES; i++)
		kernel.counts.by_cause[i] = number();
	kernel.counts.left_out = number();
	kernel.counts.not_attributed = number();
	note_truncations(truncations);
	faults = faults_new(&config);
	show(faults);
	faults_free(faults);
	truncations_free(truncations);
	return 0;
}

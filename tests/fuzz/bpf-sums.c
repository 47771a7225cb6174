/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: what the BPF programs record of whole file systems, and of the control groups that pay for a file,
 * to what makes sums of it. Whatever they record, each file system and each group is there once.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/bpf-sums
 *	build-fuzz/tests/fuzz/bpf-sums build-fuzz/corpus/bpf-sums
 */
#include "base/memfd.h"
#include "bpf/loading.h"
#include "bpf/refusal.h"
#include "census/object/charged-records.h"
#include "census/object/charged.h"
#include "census/object/records.h"
#include "census/object/sums.h"
#include "input.h"

#include "charged.lskel.h" /* those of this directory */
#include "sums.lskel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>

#define KEYS 16
#define SUPERS 8 /* of each type, at most */

enum { SUM_SUPERS = 1, WALK_CHARGES };

static struct {
	struct input input;
	struct seen_super *supers;
	struct charge_key keys[KEYS];
	bool there[KEYS];
	unsigned n_keys, shown; /* how many keys were told, of which some come again */
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
	static const int errors[] = { -ENOMEM, -EAGAIN, -EPERM };
	uint8_t which = byte();

	return which < 240 ? 0 : errors[which % G_N_ELEMENTS(errors)];
}

/* What the kernel does */

static struct sums_bpf sums_skeleton = { .progs.sum_supers.prog_fd = SUM_SUPERS };
static struct charged_bpf charged_skeleton = { .progs.walk_charges.prog_fd = WALK_CHARGES };

struct sums_bpf *sums_bpf__open(void)
{
	return &sums_skeleton;
}

int sums_bpf__load(struct sums_bpf *skeleton)
{
	(void)skeleton;
	return maybe_error();
}

void sums_bpf__destroy(struct sums_bpf *skeleton)
{
	(void)skeleton;
}

struct charged_bpf *charged_bpf__open(void)
{
	return &charged_skeleton;
}

int charged_bpf__load(struct charged_bpf *skeleton)
{
	(void)skeleton;
	return maybe_error();
}

void charged_bpf__destroy(struct charged_bpf *skeleton)
{
	(void)skeleton;
}

const char *refusal_expected(void)
{
	return NULL;
}

int program_load(int (*load)(void *data), void (*undo)(void *data), void *data)
{
	int r = load(data);

	if (r != 0)
		undo(data);
	return r;
}

const void *program_map(int map_fd, size_t size)
{
	(void)map_fd;
	kernel.supers =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return kernel.supers == MAP_FAILED ? NULL : kernel.supers;
}

static int sum_supers(struct super_sums *ask)
{
	uint8_t how = byte();
	unsigned n = how % SUPERS;

	ask->count = how > 250 ? number() : n;
	for (unsigned i = 0; i < n; i++)
		kernel.supers[i] = (struct seen_super){
			.resident = number(),
			.swapped = number(),
			.page_size = number(),
			.dev = byte() % 8,
			.status = byte() < 224 ? WALK_DONE : WALK_TORN,
		};
	return maybe_error();
}

static int walk_charges(struct charge_walk *walk)
{
	uint8_t how = byte();

	/* As in the kernel, the map has keys of other requests too. */
	kernel.n_keys = how % KEYS;
	for (unsigned i = 0; i < kernel.n_keys; i++) {
		kernel.keys[i] = (struct charge_key){
			.request = walk->request + (byte() < 224 ? 0 : number()),
			.group = byte() % 32,
		};
		kernel.there[i] = true;
	}
	walk->status = input_left(&kernel.input) ? byte() % 5 : CHARGE_DONE;
	walk->at = number();
	walk->pages = number();
	walk->swapped = number();
	walk->lost = number();
	return maybe_error();
}

int program_run(int program_fd, void *context, size_t size)
{
	(void)size;
	return program_fd == SUM_SUPERS ? sum_supers(context) : walk_charges(context);
}

/* Keys are shown in an order of their own, some of them again, until there are no more. */
int bpf_map_get_next_key(int fd, const void *key, void *next_key)
{
	(void)fd;
	if (!key)
		kernel.shown = 0;
	if (kernel.n_keys == 0 || kernel.shown >= 2 * KEYS || byte() > 250)
		return kernel.n_keys == 0 || kernel.shown >= 2 * KEYS ? -ENOENT : -EINVAL;
	*(struct charge_key *)next_key = kernel.keys[kernel.shown++ % kernel.n_keys];
	return 0;
}

static int find(const struct charge_key *key)
{
	for (unsigned i = 0; i < kernel.n_keys; i++)
		if (kernel.there[i] && memcmp(&kernel.keys[i], key, sizeof *key) == 0)
			return (int)i;
	return -ENOENT;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	int at = find(key);

	(void)fd;
	*(uint64_t *)value = number();
	return at < 0 ? at : maybe_error();
}

int bpf_map_delete_elem(int fd, const void *key)
{
	(void)fd;
	for (int at; (at = find(key)) >= 0;)
		kernel.there[at] = false;
	return 0;
}

int memfd_new(unsigned flags)
{
	(void)flags;
	return byte() < 240 ? 1 << 20 : -EMFILE; /* no descriptor: closing it does nothing */
}

/* The checks */

static void sum_all(void)
{
	struct sums *sums = sums_new();
	g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(struct super_sum));

	for (unsigned n = 1 + byte() % 2; n > 0; n--) {
		g_array_set_size(out, 0);
		sums_read(sums, out);
		for (guint i = 0; i < out->len; i++)
			for (guint j = 0; j < i; j++)
				g_assert(g_array_index(out, struct super_sum, i).dev !=
					g_array_index(out, struct super_sum, j).dev);
	}
	sums_free(sums);
}

static void find_payers(void)
{
	struct charged *charged = charged_new();
	struct charge_sums out;

	if (charged_read(charged, number(), number(), byte(), 0, &out) == 0) {
		for (unsigned i = 0; i < out.n; i++)
			for (unsigned j = 0; j < i; j++)
				g_assert(out.groups[i].group != out.groups[j].group);
		for (unsigned i = 0; i < kernel.n_keys; i++)
			g_assert(!kernel.there[i] || kernel.keys[i].request != 1);
		g_free(out.groups);
	}
	charged_free(charged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kernel.input = (struct input){ data, data + size };
	kernel.n_keys = 0;
	if (byte() & 1)
		find_payers();
	else
		sum_all();
	return 0;
}

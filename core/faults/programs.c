/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/programs.h"

#include "base/util.h"
#include "bpf/loading.h"
#include "bpf/refusal.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "faults.lskel.h" /* it needs those above */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct fault_programs {
	struct faults_bpf *skeleton;
	const struct fault_counts *counts;
	struct ring_buffer *records;
	/* During fault_programs_take(). */
	void (*visit)(const struct seen_fault *seen, void *data);
	void *data;
};

static void unload(void *data)
{
	struct fault_programs *programs = data;

	g_clear_pointer(&programs->records, ring_buffer__free);
	if (programs->counts)
		munmap((void *)programs->counts, sizeof *programs->counts);
	programs->counts = NULL;
	g_clear_pointer(&programs->skeleton, faults_bpf__destroy);
}

static int hand_on(void *data, void *record, size_t size)
{
	const struct fault_programs *programs = data;

	if (size >= sizeof(struct seen_fault))
		programs->visit(record, programs->data);
	return 0;
}

static int load(void *data)
{
	struct fault_programs *programs = data;
	int r;

	programs->skeleton = faults_bpf__open();
	if (!programs->skeleton)
		return -ENOMEM;
	programs->skeleton->rodata->page_size = sysconf(_SC_PAGESIZE);
	programs->skeleton->rodata->cpus = MAX(1, libbpf_num_possible_cpus());
	r = faults_bpf__load(programs->skeleton);
	if (r < 0)
		return r;
	programs->counts =
		program_map(programs->skeleton->maps.counts.map_fd, sizeof *programs->counts);
	programs->records = programs->counts ?
		ring_buffer__new(programs->skeleton->maps.records.map_fd, hand_on, programs, NULL) :
		NULL;
	return programs->records ? 0 : -errno;
}

int fault_programs_start(struct fault_programs *programs, const char **why)
{
	int r = faults_bpf__see_signal__attach(programs->skeleton);

	if (r < 0)
		*why = refusal_cause(r);
	return MIN(r, 0);
}

int fault_programs_load(struct fault_programs **out, const char **why)
{
	struct fault_programs *programs;
	int r;

	*why = refusal_expected();
	if (*why)
		return -EPERM;
	programs = g_new0(struct fault_programs, 1);
	r = program_load(load, unload, programs);
	if (r < 0) {
		*why = refusal_cause(r);
		fault_programs_free(programs);
		return r;
	}
	*out = programs;
	return 0;
}

void fault_programs_free(struct fault_programs *programs)
{
	if (!programs)
		return;
	unload(programs);
	g_free(programs);
}

void fault_programs_set_mount(struct fault_programs *programs, uint64_t dev)
{
	__atomic_store_n(&programs->skeleton->bss->mount_dev, major(dev) << 20 | minor(dev),
		__ATOMIC_RELAXED);
}

int fault_programs_fd(const struct fault_programs *programs)
{
	return ring_buffer__epoll_fd(programs->records);
}

void fault_programs_take(struct fault_programs *programs,
	void (*visit)(const struct seen_fault *seen, void *data), void *data)
{
	programs->visit = visit;
	programs->data = data;
	ring_buffer__consume(programs->records);
}

struct fault_counts fault_programs_counts(const struct fault_programs *programs)
{
	struct fault_counts counts;

	for (unsigned i = 0; i < FAULT_CAUSES; i++)
		counts.by_cause[i] =
			__atomic_load_n(&programs->counts->by_cause[i], __ATOMIC_RELAXED);
	counts.left_out = __atomic_load_n(&programs->counts->left_out, __ATOMIC_RELAXED);
	counts.not_attributed =
		__atomic_load_n(&programs->counts->not_attributed, __ATOMIC_RELAXED);
	return counts;
}

static void keep_last(const struct seen_fault *seen, void *data)
{
	*(struct seen_fault *)data = *seen;
}

int fault_programs_try(struct fault_programs *programs, const void *address, struct seen_fault *out)
{
	uint64_t arguments[] = { FAULT_TRIAL, (uintptr_t)address, 0 };
	int r = program_run(programs->skeleton->progs.see_signal.prog_fd, arguments,
		sizeof arguments);

	*out = (struct seen_fault){ 0 };
	if (r < 0)
		return r;
	fault_programs_take(programs, keep_last, out);
	return out->address == (uintptr_t)address;
}

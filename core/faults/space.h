/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For BPF programs: why a file system, or a control group, has no page for a file. */
#pragma once

#include <stdbool.h>

#include "bpf/read-kernel.h"
#include "faults/records.h"

#define CPUS_MAX 8192
#define HUGE_SIZES_MAX 16
#define GROUP_LEVELS_MAX 64
#define VM_NORESERVE 0x200000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct percpu_counter {
	__s64 count;
	__s32 *counters;
};
struct shmem_sb_info {
	unsigned long max_blocks;
	struct percpu_counter used_blocks;
};
struct hstate {
	unsigned int order;
	unsigned long free_huge_pages, resv_huge_pages;
	char name[32];
};
struct hugepage_subpool {
	long max_hpages, used_hpages;
};
struct hugetlbfs_sb_info {
	struct hstate *hstate;
	struct hugepage_subpool *spool;
};
struct page_counter {
	struct atomic_long usage;
	unsigned long max;
	struct page_counter *parent;
};
struct hugetlb_cgroup {
	struct page_counter hugepage[1];
};
struct super_block___info {
	void *s_fs_info;
};
struct bpf_array {
	void *pptrs[1];
};
#pragma clang attribute pop

const volatile __u64 page_size = 4096;
const volatile __u32 cpus = 1; /* that there may be */

/* Its address on each processor shows where that one's memory is. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} mark SEC(".maps");

/* What the file system has left */

/* Returns the address as a number: written and read back, for the verifier forbids sums with these. */
static __u64 number_of(void *pointer)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof address, &pointer);
	return address;
}

/*
 * Returns how far the memory of that processor is from the addresses by which the kernel knows
 * memory that each processor has for itself; 0 on failure.
 */
static __u64 processor_offset(__u32 cpu)
{
	__u32 zero = 0;
	__u64 address = number_of(bpf_map_lookup_percpu_elem(&mark, &zero, cpu));
	struct bpf_array *array = (struct bpf_array *)number_of(&mark);

	return address ? address - (__u64)BPF_CORE_READ(array, pptrs[0]) : 0;
}

/* Returns the exact value: each processor has a part of it that it has not handed in yet. */
static __s64 blocks_used(struct shmem_sb_info *info)
{
	__s64 sum = BPF_CORE_READ(info, used_blocks.count);
	__u64 counters = (__u64)BPF_CORE_READ(info, used_blocks.counters);
	struct bpf_iter_num it;
	int *cpu;

	bpf_iter_num_new(&it, 0, CPUS_MAX);
	while ((cpu = bpf_iter_num_next(&it))) {
		__u64 offset;
		__s32 part = 0;

		if ((__u32)*cpu >= cpus)
			break;
		offset = processor_offset(*cpu);
		if (offset)
			bpf_probe_read_kernel(&part, sizeof part, (void *)(counters + offset));
		sum += part;
	}
	bpf_iter_num_destroy(&it);
	return sum;
}

static void *private_of(struct super_block *sb)
{
	return BPF_CORE_READ((struct super_block___info *)sb, s_fs_info);
}

static bool tmpfs_is_full(struct seen_fault *seen, struct super_block *sb)
{
	struct shmem_sb_info *info = private_of(sb);
	__u64 max = BPF_CORE_READ(info, max_blocks);
	__s64 used;

	if (max == 0)
		return false;
	used = blocks_used(info);
	seen->limit = max * page_size;
	seen->used = used > 0 ? used * page_size : 0;
	return seen->used >= seen->limit;
}

static bool hugetlbfs_is_full(struct seen_fault *seen, struct hugetlbfs_sb_info *info,
	__u64 huge_page)
{
	struct hugepage_subpool *pool = BPF_CORE_READ(info, spool);
	long max, used;

	if (!pool)
		return false;
	max = BPF_CORE_READ(pool, max_hpages);
	used = BPF_CORE_READ(pool, used_hpages);
	if (max < 0)
		return false;
	seen->limit = max * huge_page;
	seen->used = used * huge_page;
	return used >= max;
}

/* Whether one more huge page is too many for this group or one above it. */
static bool counter_is_full(__u64 at, __u64 more)
{
	struct page_counter *counter = (struct page_counter *)at;
	struct bpf_iter_num it;
	bool full = false;

	bpf_iter_num_new(&it, 0, GROUP_LEVELS_MAX);
	while (bpf_iter_num_next(&it)) {
		if (!counter || full)
			break;
		full = BPF_CORE_READ(counter, usage.counter) + more > BPF_CORE_READ(counter, max);
		counter = BPF_CORE_READ(counter, parent);
	}
	bpf_iter_num_destroy(&it);
	return full;
}

/* With what the name of each size begins. */
const char huge_name[] = "hugepages-";

/*
 * Returns the place of a size of huge pages in the kernel's array of sizes, which is also that of its
 * counter in a group; HUGE_SIZES_MAX if it cannot be told. The kernel stores it nowhere, and the
 * array's address is not told: so those before it are counted. Each has a name, that of its directory
 * in /sys/kernel/mm/hugepages; what is before the array has none there.
 */
static __u32 place_of(struct hstate *state)
{
	__u64 at = (__u64)state + OFFSET(struct hstate, name);
	__u32 place = HUGE_SIZES_MAX;
	struct bpf_iter_num it;
	int *n;

	bpf_iter_num_new(&it, 0, HUGE_SIZES_MAX);
	while ((n = bpf_iter_num_next(&it))) {
		char name[sizeof huge_name] = { 0 };

		bpf_probe_read_kernel(name, sizeof name - 1,
			(void *)(at - *n * (__u64)bpf_core_type_size(struct hstate)));
		if (bpf_strncmp(name, sizeof huge_name - 1, huge_name) != 0) {
			/* Without a name of its own the state is not understood. */
			place = *n > 0 ? *n - 1 : HUGE_SIZES_MAX;
			break;
		}
	}
	bpf_iter_num_destroy(&it);
	return place;
}

/* Whether the process's control group has reached its limit of huge pages of that size. */
static bool group_is_full(struct task_struct *task, struct hstate *state, __u64 pages)
{
	__u64 subsystem, group, size, offset;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, hugetlb_cgrp_id) ||
		!bpf_core_type_exists(struct hugetlb_cgroup))
		return false;
	subsystem = bpf_core_enum_value(enum cgroup_subsys_id, hugetlb_cgrp_id);
	group = read_word((__u64)BPF_CORE_READ(task, cgroups) + OFFSET(struct css_set, subsys) +
		8 * subsystem);
	size = __builtin_preserve_field_info(((struct hugetlb_cgroup *)0)->hugepage,
		BPF_FIELD_BYTE_SIZE);
	offset = place_of(state) * (__u64)bpf_core_type_size(struct page_counter);
	return group && offset < size &&
		counter_is_full(group + OFFSET(struct hugetlb_cgroup, hugepage) + offset, pages);
}

/*
 * The kernel asks the file system, the group, and the pool, in this order. But where the pool has
 * nothing for the mapping either, a higher limit of the group would not help: then it is the pool.
 * `reserved`: the mapping has pages of the pool that are reserved for it.
 */
static __u32 cause_huge(struct seen_fault *seen, struct task_struct *task, struct super_block *sb,
	bool reserved)
{
	struct hugetlbfs_sb_info *info = private_of(sb);
	struct hstate *state = BPF_CORE_READ(info, hstate);
	__u64 pages = 1ULL << (BPF_CORE_READ(state, order) & 31);
	unsigned long free = BPF_CORE_READ(state, free_huge_pages);
	unsigned long kept = BPF_CORE_READ(state, resv_huge_pages);

	seen->huge_page = pages * page_size;
	if (hugetlbfs_is_full(seen, info, seen->huge_page))
		return FAULT_NO_SPACE;
	if (free > (reserved ? 0 : kept) && group_is_full(task, state, pages))
		return FAULT_CGROUP;
	return free <= kept ? FAULT_NO_HUGE_PAGE : FAULT_OTHER;
}

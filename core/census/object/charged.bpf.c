/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts the pages of one tmpfs file by the memory cgroup that pays for them.
 *
 * The page cache of the file is a tree (xarray) of nodes with 64 slots. A node says by its `shift`
 * how many pages a slot stands for. A large folio has several slots: the first has its address, the
 * others the number of that slot (a sibling entry). So each slot is counted for itself, and no
 * folio's size has to be known. No lock is taken: nodes and folios are read by probes that cannot
 * fault, and pages that are added or removed meanwhile are counted or not.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include "bpf/kernel.h"
#include "bpf/read-kernel.h"
#include "census/object/charged-records.h"

char LICENSE[] SEC("license") = "GPL";

#define GROUPS_MAX 16384
#define NODES_MAX 1024 /* how many one run visits at most */
#define LEVELS_MAX 11
#define SLOTS 64
#define SIBLING_MAX ((SLOTS - 1) << 2 | 2)
#define NODE_MIN 4096
#define MEMCG_FLAGS 7

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mem_cgroup {
	struct cgroup_subsys_state css;
};
struct folio {
	unsigned long memcg_data;
};
struct address_space___pages {
	struct xarray i_pages;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GROUPS_MAX);
	__type(key, struct charge_key);
	__type(value, __u64);
} charges SEC(".maps");

static __u64 slot_at(__u64 node, __u32 slot)
{
	return read_word(node + OFFSET(struct xa_node, slots) + 8 * (__u64)(slot & (SLOTS - 1)));
}

static __u32 shift_of(__u64 node)
{
	__u8 shift = 0;

	bpf_probe_read_kernel(&shift, sizeof shift, (void *)(node + OFFSET(struct xa_node, shift)));
	return shift & 63;
}

static bool is_node(__u64 entry)
{
	return (entry & 3) == 2 && entry > NODE_MIN;
}

/*
 * Whether that is a group. The page cache notes one with each page up to Linux 6.18; a kernel that
 * notes something else must not be taken at its word.
 */
static bool is_group(struct mem_cgroup *memcg)
{
	struct cgroup *cgroup = BPF_CORE_READ(memcg, css.cgroup);

	return cgroup && BPF_CORE_READ(cgroup, self.cgroup) == cgroup;
}

/* Adds an entry that stands for `pages` pages to the sum of the group that pays. */
static __always_inline void count(struct charge_walk *walk, __u64 entry, __u64 pages)
{
	struct charge_key key = { .request = walk->request };
	struct mem_cgroup *memcg;
	__u64 *sum;

	if (entry & 1) {
		walk->swapped += pages;
		return;
	}
	/* An empty slot, or an internal entry of the tree. */
	if (!entry || entry & 3)
		return;
	memcg = (struct mem_cgroup *)(BPF_CORE_READ((struct folio *)entry, memcg_data) &
		~(unsigned long)MEMCG_FLAGS);
	if (memcg)
		key.group = BPF_CORE_READ(memcg, css.cgroup, kn, id);
	walk->pages += pages;
	sum = bpf_map_lookup_elem(&charges, &key);
	if (memcg && (!sum || !key.group) && !is_group(memcg))
		walk->status = CHARGE_BLIND;
	else if (sum)
		*sum += pages;
	else if (bpf_map_update_elem(&charges, &key, &pages, BPF_ANY) < 0)
		walk->lost += pages;
}

/* Returns the entry of a slot; of a sibling slot, that of the first slot of its folio. */
static __u64 entry_at(__u64 node, __u32 slot)
{
	__u64 entry = slot_at(node, slot);

	return (entry & 3) == 2 && entry <= SIBLING_MAX ? slot_at(node, entry >> 2) : entry;
}

/*
 * Counts the slots of a leaf from the page `walk->at` on. Not static, so that the verifier checks
 * it separately.
 */
__attribute__((noinline)) int count_leaf(struct charge_walk *walk, __u64 node)
{
	struct bpf_iter_num it;
	__u32 first;
	int *slot;

	if (!walk)
		return 0;
	first = walk->at & (SLOTS - 1);
	bpf_iter_num_new(&it, 0, SLOTS);
	while ((slot = bpf_iter_num_next(&it)))
		if ((__u32)*slot >= first)
			count(walk, entry_at(node, *slot), 1);
	bpf_iter_num_destroy(&it);
	walk->at = (walk->at | (SLOTS - 1)) + 1;
	return 0;
}

/* Counts the leaf, or the slot above the leaves, that has the page `at`, and advances `at`. */
__attribute__((noinline)) int count_next(struct charge_walk *walk, __u64 root)
{
	struct bpf_iter_num it;
	__u64 node = root, at;
	__u32 shift = 0;

	if (!walk)
		return 0;
	at = walk->at;
	shift = shift_of(node);
	if (shift < 58 && at >> (shift + 6)) {
		walk->status = CHARGE_DONE;
		return 0;
	}
	bpf_iter_num_new(&it, 0, LEVELS_MAX);
	while (bpf_iter_num_next(&it)) {
		__u64 entry;

		shift = shift_of(node);
		entry = slot_at(node, at >> shift);
		if (shift == 0 || !is_node(entry))
			break;
		node = entry - 2;
	}
	bpf_iter_num_destroy(&it);
	if (shift == 0)
		return count_leaf(walk, node);
	count(walk, entry_at(node, at >> shift), 1ULL << shift);
	walk->at = ((at >> shift) + 1) << shift;
	return 0;
}

static void count_all(struct charge_walk *walk, __u64 head)
{
	struct bpf_iter_num it;

	/* A tree of one page, which is number 0, has no node. */
	if (!is_node(head)) {
		walk->status = CHARGE_DONE;
		if (walk->at == 0)
			count(walk, head, 1);
		return;
	}
	bpf_iter_num_new(&it, 0, NODES_MAX);
	while (bpf_iter_num_next(&it)) {
		if (walk->status != CHARGE_MORE)
			break;
		count_next(walk, head - 2);
	}
	bpf_iter_num_destroy(&it);
}

SEC("syscall")
int walk_charges(struct charge_walk *context)
{
	struct charge_walk walk = *context; /* a copy: the verifier rejects sums in the original */
	struct inode *inode = (struct inode *)walk.inode;

	walk.status = CHARGE_MORE;
	bpf_rcu_read_lock();
	if (!bpf_core_field_exists(((struct folio *)0)->memcg_data))
		walk.status = CHARGE_BLIND;
	else if (BPF_CORE_READ(inode, i_ino) != walk.ino ||
		BPF_CORE_READ(inode, i_generation) != walk.generation)
		walk.status = CHARGE_OTHER;
	else
		count_all(&walk,
			read_word((__u64)BPF_CORE_READ(inode, i_mapping) +
				OFFSET(struct address_space___pages, i_pages.xa_head)));
	bpf_rcu_read_unlock();
	*context = walk;
	return 0;
}

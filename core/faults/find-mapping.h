/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For BPF programs: finds the mapping of an address without a lock. */
#pragma once

#include <stdbool.h>

#include "bpf/read-kernel.h"

#define TREE_LEVELS_MAX 16
#define TREE_SLOTS_MAX 16
#define NODE_MIN 4096
#define NODE_MASK 255UL
#define NODE_TYPE_SHIFT 3
#define NODE_TYPE_MASK 15
#define MAPLE_RANGE_64 2
#define MAPLE_ARANGE_64 3

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
/* The tree in which an address space keeps its mappings. */
struct maple_tree {
	void *ma_root;
};
struct mm_struct___tree {
	struct maple_tree mm_mt;
};
struct maple_metadata {
	unsigned char end;
};
struct maple_range_64 {
	unsigned long pivot[15];
	void *slot[16];
	struct maple_metadata meta;
};
struct maple_arange_64 {
	unsigned long pivot[9];
	void *slot[10];
	struct maple_metadata meta;
};
#pragma clang attribute pop

/* A node of the tree of mappings. */
struct node {
	__u64 pivots,
		slots; /* addresses of arrays: the last address below each slot; its content */
	__u64 meta;    /* its address */
	__u32 n;       /* pivots; there is one slot more */
	bool leaf;     /* the slots have mappings */
	__u64 max;     /* the last address below the node */
};

static void open_node(struct node *node, __u64 entry)
{
	__u64 at = entry & ~NODE_MASK;
	__u32 type = entry >> NODE_TYPE_SHIFT & NODE_TYPE_MASK;

	node->leaf = type < MAPLE_RANGE_64;
	if (type == MAPLE_ARANGE_64) {
		node->pivots = at + OFFSET(struct maple_arange_64, pivot);
		node->slots = at + OFFSET(struct maple_arange_64, slot);
		node->meta = at + OFFSET(struct maple_arange_64, meta.end);
		node->n = __builtin_preserve_field_info(((struct maple_arange_64 *)0)->pivot,
				  BPF_FIELD_BYTE_SIZE) /
			8;
	} else {
		node->pivots = at + OFFSET(struct maple_range_64, pivot);
		node->slots = at + OFFSET(struct maple_range_64, slot);
		node->meta = at + OFFSET(struct maple_range_64, meta.end);
		node->n = __builtin_preserve_field_info(((struct maple_range_64 *)0)->pivot,
				  BPF_FIELD_BYTE_SIZE) /
			8;
	}
}

/* Returns how many pivots count: what is behind them is left from before. */
static __u32 pivots_used(const struct node *node)
{
	__u64 last = read_word(node->pivots + 8 * (node->n - 1));
	__u8 end = 0;

	if (last == 0)
		bpf_probe_read_kernel(&end, sizeof end, (void *)node->meta);
	else
		end = last == node->max ? node->n - 1 : node->n;
	return end;
}

/* Returns what the node has for the address: a node or a mapping. */
static __u64 step_down(struct node *node, __u64 address)
{
	__u32 used = pivots_used(node), slot = used;
	struct bpf_iter_num it;
	int *at;

	bpf_iter_num_new(&it, 0, TREE_SLOTS_MAX);
	while ((at = bpf_iter_num_next(&it))) {
		__u64 pivot;

		if ((__u32)*at >= used)
			break;
		pivot = read_word(node->pivots + 8 * (__u64)*at);
		if (pivot >= address) {
			node->max = pivot;
			slot = *at;
			break;
		}
	}
	bpf_iter_num_destroy(&it);
	return read_word(node->slots + 8 * (__u64)slot);
}

/* The root tells itself; what is below a node is one too, unless that is a leaf. */
static bool root_is_node(__u64 root)
{
	return (root & 3) == 2 && root > NODE_MIN;
}

static bool is_of(struct vm_area_struct *vma, struct mm_struct *mm, __u64 address)
{
	return vma && BPF_CORE_READ(vma, vm_mm) == mm && BPF_CORE_READ(vma, vm_start) <= address &&
		BPF_CORE_READ(vma, vm_end) > address;
}

/*
 * Returns the mapping of the address, or NULL: it was removed, or the tree was changed at this very
 * instant. The lock of the address space is not taken: it may be held, and cannot be waited for
 * here. Nodes and mappings are read by probes that cannot fault, and are not freed before the
 * program ends (RCU); a mapping that is found is one, if it says so itself.
 */
static struct vm_area_struct *find_mapping(struct mm_struct *mm, __u64 address)
{
	__u64 entry = (__u64)BPF_CORE_READ((struct mm_struct___tree *)mm, mm_mt.ma_root);
	struct node node = { .max = ~0ULL, .leaf = !root_is_node(entry) };
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, TREE_LEVELS_MAX);
	while (bpf_iter_num_next(&it)) {
		if (node.leaf)
			break;
		open_node(&node, entry);
		entry = step_down(&node, address);
	}
	bpf_iter_num_destroy(&it);
	return is_of((struct vm_area_struct *)entry, mm, address) ? (struct vm_area_struct *)entry :
								    NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF program that sums what the inodes of each tmpfs or hugetlbfs take. It reads inodes as object.bpf.c does,
 * whose head says why that is safe.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include "bpf/kernel.h"
#include "bpf/read-kernel.h"
#include "census/object/records.h"

char LICENSE[] SEC("license") = "GPL";

#define SUPERS_MAX 65536   /* file systems of one type */
#define INODES_MAX 8388608 /* the most that BPF lets one loop do */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SUPERS_SHOWN);
	__type(key, __u32);
	__type(value, struct seen_super);
} supers SEC(".maps");

/*
 * Adds what one inode takes. How many pages an inode of huge pages has is counted in small ones by some
 * kernels, and in huge ones by others: its blocks are counted in the same unit by all.
 */
static void add_inode(struct seen_super *seen, __u64 address, bool huge)
{
	struct inode *inode = plain((void *)address, struct inode);

	if (huge) {
		seen->resident += inode->i_blocks * 512;
		return;
	}
	seen->resident += plain(inode->i_mapping, struct address_space)->nrpages * seen->page_size;
	seen->swapped +=
		CONTAINER(inode, struct shmem_inode_info, vfs_inode)->swapped * seen->page_size;
}

/*
 * Sums the pages of all inodes of one file system. Not static, so that the verifier checks it
 * separately.
 */
__attribute__((noinline)) int visit_super(__u64 address, __u32 at)
{
	struct super_block *sb = plain((void *)address, struct super_block);
	__u64 head = address + OFFSET(struct super_block, s_inodes);
	__u64 last = head, link = read_word(head);
	struct seen_super *seen = bpf_map_lookup_elem(&supers, &at);
	struct bpf_iter_num it;

	if (!seen)
		return 0;
	seen->dev = sb->s_dev;
	seen->status = WALK_TORN;
	seen->page_size = sb->s_blocksize;
	seen->resident = seen->swapped = 0;
	bpf_iter_num_new(&it, 0, INODES_MAX);
	while (bpf_iter_num_next(&it)) {
		__u64 next, back;

		if (link == head) {
			seen->status = WALK_DONE;
			break;
		}
		next = read_word(link + OFFSET(struct list_head, next));
		back = read_word(link + OFFSET(struct list_head, prev));
		if (back != last || next == link || !next)
			break;
		add_inode(seen, link - OFFSET(struct inode, i_sb_list),
			sb->s_magic == HUGETLBFS_MAGIC);
		last = link;
		link = next;
	}
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("syscall")
int sum_supers(struct super_sums *sums)
{
	struct file *file = own_file(sums->fd);
	struct file_system_type *type;
	struct bpf_iter_num it;
	__u32 count = sums->count;
	unsigned long magic;
	__u64 link;

	if (!file)
		return 0;
	magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
	if (magic != TMPFS_MAGIC && magic != HUGETLBFS_MAGIC)
		return 0;
	bpf_rcu_read_lock();
	type = BPF_CORE_READ(file, f_inode, i_sb, s_type);
	/*
	 * A number, not a pointer, for the verifier: a function that it checks separately takes
	 * nothing else.
	 */
	link = read_word((__u64)type + OFFSET(struct file_system_type, fs_supers));
	bpf_iter_num_new(&it, 0, SUPERS_MAX);
	while (bpf_iter_num_next(&it)) {
		if (!link)
			break;
		visit_super(link - OFFSET(struct super_block, s_instances), count++);
		link = read_word(link);
	}
	bpf_iter_num_destroy(&it);
	bpf_rcu_read_unlock();
	sums->count = count;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF programs of the object side: they read what the kernel keeps with each inode of a tmpfs
 * or hugetlbfs, and change nothing.
 *
 * They cannot take locks. Inodes and directory entries are freed after an RCU grace period, or read
 * by probes that cannot fault; the programs compare every list entry's back pointer with the entry
 * that they came from, and count a directory entry only if it still belongs to the inode after it
 * was read. If this does not agree they return WALK_TORN or OBJECT_UNCERTAIN, and have to be asked
 * again.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include "bpf/kernel.h"
#include "bpf/read-kernel.h"
#include "census/object/read-names.h"
#include "census/object/records.h"

char LICENSE[] SEC("license") = "GPL";

#define SUPERS_MAX 65536   /* file systems of one type */
#define INODES_MAX 8388608 /* the most that BPF lets one loop do */
#define OWN_FDS_MAX 1048576
#define IPC_SHM_IDS 2
#define IPC_INDEX_MASK 0x7fff /* the index in an ID */
#define IPC_INDEX_MASK_EXTENDED                                                                    \
	0xffffff /* the same, where the kernel was booted with ipcmni_extend */
#define S_IFMT 0170000
#define S_IFREG 0100000

/* programs.c sets the numbers of elements before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen_object);
} objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen_detail);
} details SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct own_file);
} own SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct quiet_object);
} quiet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct quiet_fact);
} facts SEC(".maps");

static __s32 readers_of(struct inode *inode)
{
	return bpf_core_field_exists(inode->i_readcount) ? inode->i_readcount.counter : 0;
}

static __u64 swapped_of(struct inode *inode)
{
	return plain(inode->i_sb, struct super_block)->s_magic == TMPFS_MAGIC ?
		CONTAINER(inode, struct shmem_inode_info, vfs_inode)->swapped :
		0;
}

static void write_object(struct seen_object *seen, struct inode *inode, const struct names *names)
{
	struct super_block *sb = plain(inode->i_sb, struct super_block);
	struct address_space *pages = plain(inode->i_mapping, struct address_space);

	seen->inode = (__u64)inode;
	seen->ino = inode->i_ino;
	seen->dev = sb->s_dev;
	seen->generation = inode->i_generation;
	seen->references = names->references;
	seen->flags = (pages->i_mmap.rb_root.rb_node ? OBJECT_MAPPED : 0) |
		(names->in_root ? OBJECT_IN_ROOT : 0) | (names->shown ? OBJECT_SHOWN : 0) |
		(names->uncertain ? OBJECT_UNCERTAIN : 0) |
		((inode->i_mode & S_IFMT) == S_IFREG ? 0 : OBJECT_OTHER) |
		(sb->s_magic == HUGETLBFS_MAGIC ? OBJECT_HUGE : 0);
	seen->writers = inode->i_writecount.counter;
	seen->readers = readers_of(inode);
	seen->nlink = inode->i_nlink;
	seen->blocks = inode->i_blocks;
	seen->swapped = swapped_of(inode);
	seen->size = inode->i_size;
	seen->uid = inode->i_uid.val;
	seen->unused = 0;
	seen->detail = 0;
}

static __always_inline void write_facts(struct seen_detail *detail, struct inode *inode)
{
	detail->size = inode->i_size;
	detail->mode = inode->i_mode;
	detail->uid = inode->i_uid.val;
	detail->gid = inode->i_gid.val;
	if (bpf_core_field_exists(inode->i_mtime_sec)) {
		detail->atime = inode->i_atime_sec;
		detail->mtime = inode->i_mtime_sec;
		detail->ctime = inode->i_ctime_sec;
		detail->atime_nsec = inode->i_atime_nsec;
		detail->mtime_nsec = inode->i_mtime_nsec;
		/* Linux 6.13 notes in the top bit that somebody has asked for this time. */
		detail->ctime_nsec = inode->i_ctime_nsec & ~(1u << 31);
	}
}

static void write_detail(struct seen_detail *detail, struct inode *inode, struct dentry *name)
{
	write_facts(detail, inode);
	if (bpf_probe_read_kernel_str(detail->name, OBJECT_NAME, name->d_name.name) < 0)
		detail->name[0] = 0;
}

/*
 * Finds the file system with that device number among those of the same type as `like`, or NULL;
 * `like` itself if the number is 0. A file system, too, is freed after a grace period.
 */
static struct super_block *find_super(struct super_block *like, __u32 dev)
{
	struct super_block *found = NULL;
	struct hlist_node *link;
	struct bpf_iter_num it;

	if (!dev || like->s_dev == dev)
		return like;
	link = plain(like->s_type, struct file_system_type)->fs_supers.first;
	bpf_iter_num_new(&it, 0, SUPERS_MAX);
	while (bpf_iter_num_next(&it)) {
		struct super_block *sb;

		if (!link)
			break;
		sb = CONTAINER(link, struct super_block, s_instances);
		if (sb->s_dev == dev) {
			found = sb;
			break;
		}
		link = (struct hlist_node *)read_word((__u64)link);
	}
	bpf_iter_num_destroy(&it);
	return found;
}

static bool is_quiet(struct inode *inode, const struct names *names)
{
	struct super_block *sb = plain(inode->i_sb, struct super_block);
	struct address_space *pages = plain(inode->i_mapping, struct address_space);

	return sb->s_magic == TMPFS_MAGIC && (inode->i_mode & S_IFMT) == S_IFREG &&
		names->in_root && names->count == 1 && names->references == 0 &&
		!names->uncertain && !pages->i_mmap.rb_root.rb_node &&
		inode->i_writecount.counter == 0 && readers_of(inode) == 0;
}

static void write_fact(__u32 at, struct inode *inode)
{
	struct quiet_fact *fact = bpf_map_lookup_elem(&facts, &at);

	if (!fact)
		return;
	fact->inode = (__u64)inode;
	fact->ino = inode->i_ino;
	fact->size = inode->i_size;
	fact->blocks = inode->i_blocks;
	fact->generation = inode->i_generation;
	fact->uid = inode->i_uid.val;
}

static void write_quiet(struct object_walk *walk, struct inode *inode)
{
	__u32 at = walk->quiet;
	struct quiet_object *seen = bpf_map_lookup_elem(&quiet, &at);

	walk->quiet = at + 1;
	walk->quiet_blocks += inode->i_blocks;
	walk->quiet_swapped += swapped_of(inode);
	if (walk->facts)
		write_fact(walk->first_fact + at, inode);
	if (!seen)
		return;
	seen->ino = inode->i_ino;
	seen->generation = inode->i_generation;
	seen->flags = 0;
}

/* Writes what is known of one inode. Not static, so that the verifier checks it separately. */
__attribute__((noinline)) int visit_inode(struct object_walk *walk, __u64 address)
{
	struct inode *inode = plain((void *)address, struct inode);
	struct names names = { 0 };
	__u32 at, detail_at;
	struct seen_object *seen;
	struct seen_detail *detail;

	if (!walk)
		return 0;
	at = walk->count;
	detail_at = walk->details;
	names.wants_shown = walk->facts;
	read_names(&names, inode);
	/* An inode without a directory entry is being created or destroyed. */
	if (!names.first)
		return 0;
	if (!walk->whole && is_quiet(inode, &names) && (names.shown || !walk->facts)) {
		write_quiet(walk, inode);
		return 0;
	}
	walk->count = at + 1;
	seen = bpf_map_lookup_elem(&objects, &at);
	if (seen)
		write_object(seen, inode, &names);
	if ((inode->i_mode & S_IFMT) != S_IFREG)
		return 0;
	walk->unclear |= names.uncertain && !names.shown && inode->i_nlink > 0;
	if (names.in_root)
		return 0;
	walk->details = detail_at + 1;
	detail = bpf_map_lookup_elem(&details, &detail_at);
	if (detail)
		write_detail(detail, inode, names.first);
	if (seen)
		seen->detail = detail_at + 1;
	return 0;
}

static void walk_list(struct object_walk *walk, struct super_block *sb)
{
	__u64 head = (__u64)sb + OFFSET(struct super_block, s_inodes);
	__u64 last = head, at = read_word(head);
	struct bpf_iter_num it;

	walk->status = WALK_TORN;
	bpf_iter_num_new(&it, 0, INODES_MAX);
	while (bpf_iter_num_next(&it)) {
		__u64 next, back;

		if (at == head) {
			walk->status = WALK_DONE;
			break;
		}
		next = read_word(at + OFFSET(struct list_head, next));
		back = read_word(at + OFFSET(struct list_head, prev));
		/* An entry that is taken off the list points at itself. */
		if (back != last || next == at || !next)
			break;
		visit_inode(walk, at - OFFSET(struct inode, i_sb_list));
		last = at;
		at = next;
	}
	bpf_iter_num_destroy(&it);
}

SEC("syscall")
int walk_inodes(struct object_walk *walk)
{
	struct file *file = own_file(walk->fd);
	struct super_block *sb;

	walk->count = 0;
	walk->details = 0;
	walk->quiet = 0;
	walk->quiet_blocks = 0;
	walk->quiet_swapped = 0;
	walk->unclear = 0;
	walk->status = WALK_NONE;
	if (!file)
		return 0;
	bpf_rcu_read_lock();
	sb = find_super(plain(BPF_CORE_READ(file, f_inode, i_sb), struct super_block), walk->dev);
	if (sb)
		walk_list(walk, sb);
	bpf_rcu_read_unlock();
	return 0;
}

/*
 * Returns the entry of an index in one of the kernel's trees (xarray), or 0. Beyond the tree, as where it has one entry
 * and no node, that is the entry of another index: the caller compares.
 */
static __u64 find_entry(__u64 head, __u32 index)
{
	__u64 entry = head;
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 8);
	while (bpf_iter_num_next(&it)) {
		__u64 node = entry - XA_NODE;
		__u32 shift;

		if ((entry & 3) != XA_NODE)
			break;
		shift = plain((void *)node, struct xa_node)->shift & 31;
		entry = read_word(
			node + OFFSET(struct xa_node, slots) + 8 * (__u64)(index >> shift & 63));
	}
	bpf_iter_num_destroy(&it);
	return entry;
}

static struct inode *segment_inode(__u64 head, __u32 shmid, __u32 mask)
{
	__u64 entry = find_entry(head, shmid & mask);
	struct shmid_kernel *segment = plain((void *)entry, struct shmid_kernel);

	if (!entry || entry & 3 || segment->shm_perm.id != (int)shmid)
		return NULL;
	return BPF_CORE_READ(segment, shm_file, f_inode);
}

/*
 * Finds a System V segment of the calling thread's IPC namespace, which keeps its segments by the
 * lower bits of their IDs.
 */
static struct inode *find_sysv(__u32 shmid)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct ipc_namespace *ns = BPF_CORE_READ(task, nsproxy, ipc_ns);
	__u64 head = (__u64)BPF_CORE_READ(ns, ids[IPC_SHM_IDS].ipcs_idr.idr_rt.xa_head);
	struct inode *inode = segment_inode(head, shmid, IPC_INDEX_MASK);

	return inode ? inode : segment_inode(head, shmid, IPC_INDEX_MASK_EXTENDED);
}

/*
 * Returns whether an address space other than the daemon's maps the inode, as far as a few mappings
 * tell that are read without a lock.
 */
static bool others_map(struct inode *inode)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct rb_node *node = BPF_CORE_READ(inode, i_mapping, i_mmap.rb_root.rb_node);
	struct bpf_iter_num it;
	bool found = false;

	bpf_iter_num_new(&it, 0, 16);
	while (bpf_iter_num_next(&it)) {
		if (!node)
			break;
		if (CONTAINER(node, struct vm_area_struct, shared.rb)->vm_mm != mm) {
			found = true;
			break;
		}
		node = plain(node, struct rb_node)->rb_left;
	}
	bpf_iter_num_destroy(&it);
	return found;
}

SEC("syscall")
int look_at_inode(struct object_look *look)
{
	struct seen_object object;
	struct names names = { 0 };
	struct file *file;
	struct inode *inode;

	look->found = 0;
	bpf_rcu_read_lock();
	if (look->sysv) {
		inode = find_sysv(look->shmid);
	} else {
		file = own_file(look->fd);
		inode = file ? BPF_CORE_READ(file, f_inode) : NULL;
	}
	if (inode) {
		inode = plain(inode, struct inode);
		read_names(&names, inode);
		write_object(&object, inode, &names);
		if (object.flags & OBJECT_MAPPED && !others_map(inode))
			object.flags &= ~OBJECT_MAPPED;
		look->object = object;
		look->found = 1;
	}
	bpf_rcu_read_unlock();
	return 0;
}

/*
 * Tells more of a POSIX object that a walk has found, and one of its names that are shown. It may
 * have been freed since, and its memory may be another's: it counts only if all that is known of it
 * agrees.
 */
SEC("syscall")
int describe_inode(struct object_describe *describe)
{
	struct inode *inode = plain((void *)describe->inode, struct inode);
	struct names names = { .wants_shown = true };
	char name[OBJECT_NAME] = "";

	describe->found = 0;
	bpf_rcu_read_lock();
	if (plain(inode->i_sb, struct super_block)->s_dev == describe->dev &&
		inode->i_ino == describe->ino && inode->i_generation == describe->generation)
		read_names(&names, inode);
	if (names.shown && !names.uncertain) {
		write_facts(&describe->detail, inode);
		bpf_probe_read_kernel_str(name, OBJECT_NAME, names.shown->d_name.name);
		describe->nlink = inode->i_nlink;
		describe->found = names.shown->d_inode == inode;
	}
	bpf_rcu_read_unlock();
	/* By the stack: a helper function takes no part of the context. */
	__builtin_memcpy(describe->detail.name, name, OBJECT_NAME);
	return 0;
}

SEC("syscall")
int list_own_files(struct own_files *list)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct bpf_iter_num it;
	__u32 count = list->count;
	__u32 max;
	int *fd;

	bpf_rcu_read_lock();
	max = BPF_CORE_READ(task, files, fdt, max_fds);
	bpf_iter_num_new(&it, 0, OWN_FDS_MAX);
	while ((fd = bpf_iter_num_next(&it))) {
		struct file *file;
		struct inode *inode;
		unsigned long magic;
		struct own_file *seen;

		if ((__u32)*fd >= max)
			break;
		file = own_file(*fd);
		if (!file)
			continue;
		inode = BPF_CORE_READ(file, f_inode);
		magic = BPF_CORE_READ(inode, i_sb, s_magic);
		if (magic != TMPFS_MAGIC && magic != HUGETLBFS_MAGIC)
			continue;
		seen = bpf_map_lookup_elem(&own, &count);
		if (seen) {
			seen->file = (__u64)file;
			seen->inode = (__u64)inode;
			seen->flags = BPF_CORE_READ(file, f_flags);
		}
		count++;
	}
	bpf_iter_num_destroy(&it);
	bpf_rcu_read_unlock();
	list->count = count;
	return 0;
}

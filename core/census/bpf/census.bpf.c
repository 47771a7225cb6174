/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF programs of the census: walk(), read_space() and read_descriptors(). They only read.
 *
 * The first two are programs of type `syscall` with open-coded iterators. So a walk over 500
 * processes takes 27 us instead of 160 us as an iter/task program (which finds each task by its
 * pid, and passes each record through a seq_file), and read_space() need not step over the other
 * address spaces.
 *
 * What one run reads may be inconsistent: the head of backend.c says how the back end detects that.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include "bpf/kernel.h"
#include "census/bpf/records.h"
#include "census/bpf/segment-file.h"
#include "bpf/viewer.h"

char LICENSE[] SEC("license") = "GPL";

const volatile __s32 self; /* the process to leave out; 0: none */

/* programs.c sets the numbers of elements before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mm_version);
} versions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen_mapping);
} mappings SEC(".maps");

/* A descriptor's record is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen_descriptor);
} scratch SEC(".maps");

/*
 * Casts to a pointer through which all that is read is a plain value for the verifier. Otherwise,
 * for a pointer read from an object that it trusts, the verifier finds out whether that is to be
 * trusted as well, by searching its name among all of the kernel's types, each time: that was most
 * of the time that loading took, a tenth of a second.
 */
static struct task_struct *plain_task(struct task_struct *task)
{
	return bpf_rdonly_cast(task, bpf_core_type_id_kernel(struct task_struct));
}

static struct vm_area_struct *plain_vma(struct vm_area_struct *vma)
{
	return bpf_rdonly_cast(vma, bpf_core_type_id_kernel(struct vm_area_struct));
}

/* How the kernel keeps mm_lock_seq. */
enum seq_kind {
	SEQ_NONE,
	SEQ_PLAIN,    /* before Linux 6.13: changes when the lock is released */
	SEQ_SEQCOUNT, /* also odd while the lock is held for writing */
};

static enum seq_kind seq_kind(void)
{
	struct mm_struct___plain *plain = NULL;
	struct mm_struct *mm = NULL;

	if (bpf_core_field_exists(mm->mm_lock_seq.sequence))
		return SEQ_SEQCOUNT;
	if (bpf_core_field_exists(plain->mm_lock_seq) &&
		bpf_core_field_exists(plain->mmap_lock.count))
		return SEQ_PLAIN;
	return SEQ_NONE;
}

static __u32 lock_seq(struct mm_struct *mm)
{
	switch (seq_kind()) {
	case SEQ_SEQCOUNT:
		return mm->mm_lock_seq.sequence;
	case SEQ_PLAIN:
		return ((struct mm_struct___plain *)mm)->mm_lock_seq;
	default:
		return 0;
	}
}

static bool write_locked(struct mm_struct *mm)
{
	switch (seq_kind()) {
	case SEQ_SEQCOUNT:
		return mm->mm_lock_seq.sequence & 1;
	case SEQ_PLAIN:
		return ((struct mm_struct___plain *)mm)->mmap_lock.count.counter &
			RWSEM_WRITER_LOCKED;
	default: /* no version would ever change, so try_version() rejects the back end */
		return false;
	}
}

/*
 * Returns the pid of a thread that still has the address space, once the first thread has left it;
 * or 0. Not static, so that the verifier checks it separately: inside the loop that calls it, the
 * verifier could not see that it ends.
 */
__attribute__((noinline)) int live_thread(int pid)
{
	struct task_struct *leader = bpf_task_from_pid(pid), *task;
	struct bpf_iter_task it;
	int found = 0;

	if (!leader)
		return 0;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, leader, TASK_ITER_PROC_THREADS);
	while ((task = bpf_iter_task_next(&it)))
		if (plain_task(task)->mm) {
			found = task->pid;
			break;
		}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	bpf_task_release(leader);
	return found;
}

/*
 * Writes the version of `leader`'s process, as its thread `task` has it. If the map is full it
 * writes nothing, and returns true to have the process counted. Returns false if the process has
 * just given up its address space.
 */
static bool write_version(const struct viewer *viewer, struct task_struct *leader,
	struct task_struct *task, int pid, __u32 at)
{
	struct mm_version *version = bpf_map_lookup_elem(&versions, &at);
	struct mm_struct *mm = plain_task(task)->mm;

	if (!mm)
		return false;
	if (!version)
		return true;
	version->mm = (__u64)mm;
	version->start_time = leader->start_boottime;
	version->exec_id = task->self_exec_id;
	version->seq = lock_seq(mm);
	version->pid = pid;
	version->thread = leader == task ? pid : viewer_pid(viewer, task);
	version->task = task->pid;
	version->uid = plain_task(leader)->real_cred->euid.val;
	bpf_probe_read_kernel(version->command, COMMAND_SIZE, leader->comm);
	return true;
}

/*
 * Writes the version of a process whose first thread has left its address space. Not static: see
 * live_thread().
 */
__attribute__((noinline)) int write_headless(int leader_pid, __u32 at)
{
	struct task_struct *leader = bpf_task_from_pid(leader_pid), *task;
	struct viewer viewer;
	bool written = false;

	if (!leader)
		return 0;
	task = bpf_task_from_pid(live_thread(leader_pid));
	if (task) {
		viewer_init(&viewer);
		written = write_version(&viewer, leader, task, viewer_pid(&viewer, leader), at);
		bpf_task_release(task);
	}
	bpf_task_release(leader);
	return written;
}

/*
 * Returns whether the process has live threads. It may, although no version was written: a thread
 * may have ended before the iterator came to it, and the thread that it created may have come too
 * late for the list. With none alive no thread can be created any more.
 */
static bool lives(struct task_struct *leader)
{
	return BPF_CORE_READ(leader, signal, live.counter) > 0;
}

SEC("syscall")
int walk(struct walk *walk)
{
	struct task_struct *leader;
	struct pid_namespace *ns;
	struct bpf_iter_task it;
	struct viewer viewer;
	/*
	 * They begin at zero, which the verifier must not know: it then checks the loop for all
	 * values at once.
	 */
	__u32 count = walk->count, uncertain = walk->uncertain, met = walk->met;

	viewer_init(&viewer);
	ns = viewer.ns;
	walk->level = viewer.level;
	walk->pid_cursor = BPF_CORE_READ(ns, idr.idr_next);
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, NULL, TASK_ITER_ALL_PROCS);
	while ((leader = bpf_iter_task_next(&it))) {
		bool written;
		int pid;

		met++;
		if (leader->flags & PF_KTHREAD)
			continue;
		pid = viewer_pid(&viewer, leader);
		if (!pid || pid == self)
			continue;
		if (plain_task(leader)->mm)
			written = write_version(&viewer, leader, leader, pid, count);
		else
			written = write_headless(leader->pid, count);
		count += written;
		uncertain += !written && lives(leader);
	}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	walk->pid_cursor_after = BPF_CORE_READ(ns, idr.idr_next);
	walk->met = met;
	walk->count = count;
	walk->uncertain = uncertain;
	return 0;
}

/*
 * Returns whether a file system's files may be segments: shared memory, or FUSE files that may
 * stand for some. The back end knows the devices.
 */
static bool may_be_segment(struct super_block *sb)
{
	unsigned long magic = sb->s_magic;

	return magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC || magic == FUSE_SUPER_MAGIC;
}

/*
 * Returns the file that counts on the segment: of a FUSE file the backing file of its passthrough,
 * or 0.
 */
static __u64 counted_file(struct file *file, struct super_block *sb)
{
	struct fuse_file *fuse = file->private_data;

	if (sb->s_magic != FUSE_SUPER_MAGIC)
		return (__u64)file;
	if (!fuse || !bpf_core_field_exists(fuse->passthrough))
		return 0;
	return (__u64)BPF_CORE_READ(fuse, passthrough);
}

static void write_file(struct seen_file *seen, struct file *file)
{
	struct inode *inode = file->f_inode;
	struct super_block *sb = inode->i_sb;

	seen->file = counted_file(file, sb);
	seen->ino = inode->i_ino;
	seen->dev = sb->s_dev;
	seen->ipc_ns = sb->s_flags & SB_KERNMOUNT ? sysv_namespace(file, inode) : 0;
	if (bpf_probe_read_kernel_str(seen->name, SEEN_NAME, file->f_path.dentry->d_name.name) < 0)
		seen->name[0] = 0;
}

static void write_mapping(struct seen_mapping *seen, struct vm_area_struct *vma, bool same_file)
{
	seen->start = vma->vm_start;
	seen->end = vma->vm_end;
	seen->pgoff = vma->vm_pgoff;
	seen->flags = vma->vm_flags;
	seen->same_file = same_file;
	if (!same_file)
		write_file(&seen->file, vma->vm_file);
}

/* Writes the mappings from `from` on, as far as there is room for them. */
static void read_mappings(struct read_space *ask, struct bpf_iter_task_vma *it)
{
	struct file *last = NULL;
	struct vm_area_struct *next;
	__u32 count = 0;

	ask->status = READ_DONE;
	while ((next = bpf_iter_task_vma_next(it))) {
		struct vm_area_struct *vma = plain_vma(next);
		struct file *file = vma->vm_file;
		struct seen_mapping *seen;
		__u32 at = ask->first + count;

		if ((__u64)vma->vm_mm != ask->mm) {
			ask->status = READ_GONE;
			break;
		}
		if (!file || !may_be_segment(file->f_inode->i_sb))
			continue;
		seen = count < ask->room ? bpf_map_lookup_elem(&mappings, &at) : NULL;
		if (!seen) {
			ask->status = READ_MORE;
			ask->next = vma->vm_start;
			break;
		}
		write_mapping(seen, vma, file == last);
		last = file;
		count++;
	}
	ask->count = count;
}

/*
 * Reads the mappings, and notes in `torn` whether they may have changed meanwhile. It reads the
 * number before the lock, and at the end the lock before the number: a plain number changes before
 * the lock is released. It reads both only once the iterator has begun, because that of older
 * kernels, 6.12.0 among them, takes the lock for reading: from then on nothing changes, while a
 * number read before would often be that of a change under way, and make the whole reading void.
 */
static void read_consistently(struct read_space *ask, struct mm_struct *mm,
	struct bpf_iter_task_vma *it)
{
	__u32 seq = lock_seq(mm);

	ask->seq = seq;
	ask->torn = write_locked(mm);
	read_mappings(ask, it);
	if (write_locked(mm) || lock_seq(mm) != seq)
		ask->torn = true;
}

static void read_space_of(struct read_space *ask, struct task_struct *task)
{
	struct mm_struct *mm = plain_task(task)->mm;
	struct bpf_iter_task_vma it;

	if (!ask->mm)
		ask->mm = (__u64)mm;
	if (!mm || (__u64)mm != ask->mm) {
		ask->status = READ_GONE;
		return;
	}
	if (bpf_iter_task_vma_new(&it, task, ask->from) == 0)
		read_consistently(ask, mm, &it);
	else
		ask->status = READ_BUSY;
	bpf_iter_task_vma_destroy(&it);
}

SEC("syscall")
int read_space(struct read_space *ask)
{
	struct task_struct *task =
		bpf_task_from_pid(ask->task ? ask->task : (__u32)bpf_get_current_pid_tgid());

	ask->count = 0;
	ask->status = READ_GONE;
	if (!task)
		return 0;
	read_space_of(ask, task);
	bpf_task_release(task);
	return 0;
}

/*
 * Writes a record for each descriptor that may refer to a segment. The kernel's iterator holds a
 * reference to the file, and skips threads that share their leader's table.
 */
SEC("iter/task_file")
int read_descriptors(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct file *file = ctx->file;
	struct seen_descriptor *seen;
	struct viewer viewer;
	__u32 zero = 0;
	int pid;

	if (!task || !file || task->flags & PF_KTHREAD || !may_be_segment(file->f_inode->i_sb))
		return 0;
	leader = task->group_leader;
	viewer_init(&viewer);
	pid = viewer_pid(&viewer, leader);
	seen = bpf_map_lookup_elem(&scratch, &zero);
	if (!pid || pid == self || !seen)
		return 0;
	seen->table = (__u64)task->files;
	seen->start_time = leader->start_boottime;
	seen->pid = pid;
	seen->task = task->pid;
	seen->uid = leader->real_cred->euid.val;
	seen->fd = ctx->fd;
	seen->flags = file->f_flags;
	bpf_probe_read_kernel(seen->command, COMMAND_SIZE, leader->comm);
	write_file(&seen->file, file);
	bpf_seq_write(ctx->meta->seq, seen, sizeof(*seen));
	return 0;
}

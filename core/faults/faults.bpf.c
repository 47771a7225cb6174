/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF program that is called for each signal of the machine, and records the SIGBUS that a
 * mapping of a segment raised, with what shows the cause at that instant.
 *
 * The kernel makes such a signal in the process itself, while it handles a page fault, and keeps
 * the sending of it from being interrupted. For all other signals the program ends at its first
 * line.
 *
 * A process can catch the signal and raise it again without end, and a user can start any number of
 * processes that do. So records are limited, for each process and for each user, while all are
 * counted.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include "bpf/kernel.h"
#include "bpf/read-kernel.h"
#include "census/bpf/segment-file.h"
#include "bpf/viewer.h"
#include "faults/find-mapping.h"
#include "faults/records.h"
#include "faults/space.h"

char LICENSE[] SEC("license") = "GPL";

#define SIGBUS 7
#define BUS_ADRERR 2
#define BUS_OBJERR 3
#define BUS_MCEERR_AR 4
#define SUID_DUMP_USER 1
#define VM_SHARED 8
#define USER_LEVELS_MAX 34

/* How many records there may be at once, and each second from then on. */
#define PROCESS_BURST 16
#define PROCESS_RATE 1
#define USER_BURST 512
#define USER_RATE 64
#define SECOND 1000000000ULL

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sigfault {
	void *_addr;
};
union sifields {
	struct sigfault _sigfault;
};
struct kernel_siginfo {
	int si_code;
	union sifields _sifields;
};

/* Since Linux 6.18, and before. */
struct mm_flag_bits {
	unsigned long __mm_flags[1];
};
struct mm_struct___bits {
	struct mm_flag_bits flags;
};
struct mm_struct___word {
	unsigned long flags;
};

/* The number of the system call that a process is in; negative: it is in none. */
struct pt_regs___x86 {
	unsigned long orig_ax;
};
struct pt_regs___arm64 {
	int syscallno;
};

#pragma clang attribute pop

/* Set by the daemon while the programs run. */
__u32 mount_dev; /* of the mount: its files stand for segments; 0: not known yet */

/* The daemon's pid namespace, by whose numbers processes are told: set by a trial. */
__u32 viewer_level;
__u64 viewer_ns; /* its address */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fault_counts);
} counts SEC(".maps");

/* A record is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen_fault);
} scratch SEC(".maps");

struct spender {
	__u64 id;    /* of a process, or an account */
	__u64 start; /* of the process; 0: an account */
};

struct allowance {
	__u64 refilled; /* ns after boot */
	__u64 left_out; /* since the last record */
	__u64 left;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct spender);
	__type(value, struct allowance);
} allowances SEC(".maps");

static void add_one(__u64 *count)
{
	__sync_fetch_and_add(count, 1);
}

static __u32 cause_of(struct seen_fault *seen, struct task_struct *task, struct super_block *sb,
	bool reserved)
{
	unsigned long magic = BPF_CORE_READ(sb, s_magic);

	if (seen->flags & FAULT_DAMAGED)
		return FAULT_OTHER;
	if (seen->offset >= (seen->size + page_size - 1) / page_size * page_size)
		return FAULT_TRUNCATED;
	if (magic == HUGETLBFS_MAGIC)
		return cause_huge(seen, task, sb, reserved);
	return magic == TMPFS_MAGIC && tmpfs_is_full(seen, sb) ? FAULT_NO_SPACE : FAULT_OTHER;
}

/* Which segment it is */

/* The name of the file behind MAP_ANONYMOUS | MAP_HUGETLB. */
const char anon_hugepage[] = "anon_hugepage";

static bool is_segment(const struct seen_fault *seen, struct super_block *sb)
{
	unsigned long magic = BPF_CORE_READ(sb, s_magic);

	/* Private anonymous huge pages come from a file too, which nobody can share. */
	if (magic == HUGETLBFS_MAGIC)
		return !(seen->flags & FAULT_PRIVATE &&
			bpf_strncmp(seen->name, sizeof anon_hugepage - 1, anon_hugepage) == 0);
	return magic == TMPFS_MAGIC || (magic == FUSE_SUPER_MAGIC && seen->dev == mount_dev);
}

static __u32 name_flags(struct dentry *dentry, struct inode *inode, struct super_block *sb)
{
	if (BPF_CORE_READ(inode, i_nlink) == 0 || !BPF_CORE_READ(dentry, d_hash.pprev))
		return 0;
	return FAULT_NAMED |
		(BPF_CORE_READ(dentry, d_parent) == BPF_CORE_READ(sb, s_root) ? FAULT_IN_ROOT : 0);
}

static void look_at_mapping(struct seen_fault *seen, struct task_struct *task,
	struct vm_area_struct *vma, struct file *file, bool *found)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

	if (!file)
		return;
	seen->dev = BPF_CORE_READ(sb, s_dev);
	if (!(BPF_CORE_READ(vma, vm_flags) & VM_SHARED))
		seen->flags |= FAULT_PRIVATE;
	if (bpf_probe_read_kernel_str(seen->name, FAULT_NAME, BPF_CORE_READ(dentry, d_name.name)) <
		0)
		seen->name[0] = 0;
	*found = is_segment(seen, sb);
	if (!*found)
		return;
	if (BPF_CORE_READ(sb, s_magic) == HUGETLBFS_MAGIC)
		seen->flags |= FAULT_HUGE;
	seen->flags |= name_flags(dentry, inode, sb);
	seen->ino = BPF_CORE_READ(inode, i_ino);
	seen->size = BPF_CORE_READ(inode, i_size);
	seen->offset = seen->address - BPF_CORE_READ(vma, vm_start) +
		BPF_CORE_READ(vma, vm_pgoff) * page_size;
	if (BPF_CORE_READ(sb, s_flags) & SB_KERNMOUNT)
		seen->ipc_ns = sysv_namespace(file, inode);
	seen->cause = cause_of(seen, task, sb, !(BPF_CORE_READ(vma, vm_flags) & VM_NORESERVE));
}

/*
 * Returns false if the mapping cannot be looked at. `found`: it is one of a segment.
 *
 * Another thread may remove the mapping meanwhile. Its own fields stay as they were, but its file may
 * be freed, and be another user's by now: what was read counts only if the address space still has
 * the mapping, with that file.
 */
static bool look(struct seen_fault *seen, struct task_struct *task, bool *found)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct vm_area_struct *vma = find_mapping(mm, seen->address);
	struct file *file;

	if (!vma)
		return false;
	file = BPF_CORE_READ(vma, vm_file);
	look_at_mapping(seen, task, vma, file, found);
	return find_mapping(mm, seen->address) == vma && BPF_CORE_READ(vma, vm_file) == file;
}

/* Whose it is */

static bool is_dumpable(struct mm_struct *mm)
{
	struct mm_struct___bits *bits = (struct mm_struct___bits *)mm;
	unsigned long flags = 0;

	if (bpf_core_field_exists(bits->flags.__mm_flags))
		flags = BPF_CORE_READ(bits, flags.__mm_flags[0]);
	else if (bpf_core_field_exists(((struct mm_struct___word *)mm)->flags))
		flags = BPF_CORE_READ((struct mm_struct___word *)mm, flags);
	return (flags & 3) == SUID_DUMP_USER;
}

/* Whether the user could read the process's memory: the kernel's rule for a process of one user. */
static bool is_readable(struct task_struct *task, const struct cred *cred)
{
	unsigned int uid = BPF_CORE_READ(cred, euid.val), gid = BPF_CORE_READ(cred, egid.val);

	return is_dumpable(BPF_CORE_READ(task, mm)) && BPF_CORE_READ(cred, uid.val) == uid &&
		BPF_CORE_READ(cred, suid.val) == uid && BPF_CORE_READ(cred, gid.val) == gid &&
		BPF_CORE_READ(cred, sgid.val) == gid && BPF_CORE_READ(cred, cap_permitted.val) == 0;
}

/*
 * Returns who answers for the process: its user; in a user namespace the owner of the outermost
 * one, or, where that is root, who makes containers for others, a number of that namespace alone.
 */
static __u64 account_of(const struct cred *cred)
{
	struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);
	struct bpf_iter_num it;
	__u32 owner;

	if (BPF_CORE_READ(ns, level) == 0)
		return BPF_CORE_READ(cred, euid.val);
	bpf_iter_num_new(&it, 0, USER_LEVELS_MAX);
	while (bpf_iter_num_next(&it)) {
		if (BPF_CORE_READ(ns, level) <= 1)
			break;
		ns = BPF_CORE_READ(ns, parent);
	}
	bpf_iter_num_destroy(&it);
	owner = BPF_CORE_READ(ns, owner.val);
	return owner ? owner : 1ULL << 32 | BPF_CORE_READ(ns, ns.inum);
}

/* Returns the inode number of the group that pays for the process's memory. */
static __u64 group_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return BPF_CORE_READ(set, dfl_cgrp, kn, id);
	state = (struct cgroup_subsys_state *)read_word((__u64)set +
		OFFSET(struct css_set, subsys) +
		8 * bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	return BPF_CORE_READ(state, cgroup, kn, id);
}

static void look_at_process(struct seen_fault *seen, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	const struct cred *cred = BPF_CORE_READ(task, real_cred);

	seen->start_time = BPF_CORE_READ(leader, start_boottime);
	seen->uid = BPF_CORE_READ(cred, euid.val);
	seen->account = account_of(cred);
	seen->group = group_of(task);
	if (is_readable(task, cred))
		seen->flags |= FAULT_READABLE;
	bpf_core_read(seen->command, COMMAND_SIZE, &leader->comm);
}

/* How much is recorded */

/* Takes one from the allowance of a process or an account. Returns false if there is nothing left. */
static bool take(const struct spender *spender, __u64 burst, __u64 rate, __u64 *left_out)
{
	struct allowance *allowance = bpf_map_lookup_elem(&allowances, spender);
	struct allowance fresh = { .refilled = bpf_ktime_get_boot_ns(), .left = burst - 1 };
	__u64 more;

	if (!allowance) {
		bpf_map_update_elem(&allowances, spender, &fresh, BPF_ANY);
		return true;
	}
	more = (fresh.refilled - allowance->refilled) / SECOND * rate;
	if (more > 0) {
		allowance->refilled = fresh.refilled;
		allowance->left = allowance->left + more < burst ? allowance->left + more : burst;
	}
	if (allowance->left == 0) {
		allowance->left_out++;
		return false;
	}
	allowance->left--;
	*left_out = allowance->left_out;
	allowance->left_out = 0;
	return true;
}

static bool may_record(struct seen_fault *seen)
{
	const struct spender process = { .id = bpf_get_current_pid_tgid() >> 32,
		.start = seen->start_time };
	const struct spender account = { .id = seen->account };
	__u64 ignored = 0;

	return take(&process, PROCESS_BURST, PROCESS_RATE, &seen->left_out) &&
		take(&account, USER_BURST, USER_RATE, &ignored);
}

/* The programs */

/*
 * Returns whether the process is in a system call: then it sent the signal itself, and made up what
 * it says. An access to memory that fails in a system call is EFAULT, and raises no signal.
 */
static bool is_in_system_call(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct pt_regs___x86 *x86 = (struct pt_regs___x86 *)regs;
	struct pt_regs___arm64 *arm64 = (struct pt_regs___arm64 *)regs;

	if (bpf_core_field_exists(x86->orig_ax))
		return (long)BPF_CORE_READ(x86, orig_ax) >= 0;
	if (bpf_core_field_exists(arm64->syscallno))
		return BPF_CORE_READ(arm64, syscallno) >= 0;
	return false;
}

/* The kernel's stand-ins for a siginfo are small numbers. */
static bool raised_by_mapping(struct kernel_siginfo *info, __u64 task)
{
	int code;

	if ((unsigned long)info <= 2 || task != bpf_get_current_task())
		return false;
	code = BPF_CORE_READ(info, si_code);
	return (code == BUS_ADRERR || code == BUS_OBJERR || code == BUS_MCEERR_AR) &&
		!is_in_system_call(bpf_get_current_task_btf());
}

static void count_and_record(struct seen_fault *seen, struct fault_counts *all,
	struct task_struct *me)
{
	if (seen->cause < FAULT_CAUSES)
		add_one(&all->by_cause[seen->cause]);
	look_at_process(seen, me);
	if (!may_record(seen) || bpf_ringbuf_output(&records, seen, sizeof *seen, 0) < 0)
		add_one(&all->left_out);
}

/* Notes who runs the trial. */
static void begin_trial(struct seen_fault *seen, __u64 address)
{
	struct viewer viewer;

	viewer_init(&viewer);
	viewer_level = viewer.level;
	viewer_ns = (__u64)viewer.ns;
	seen->pid = -1;
	seen->address = address;
}

static void begin_signal(struct seen_fault *seen, struct kernel_siginfo *info,
	struct task_struct *task)
{
	const struct viewer viewer = { viewer_level, (struct pid_namespace *)viewer_ns };

	seen->pid =
		viewer_pid(&viewer, plain(BPF_CORE_READ(task, group_leader), struct task_struct));
	seen->time = bpf_ktime_get_boot_ns();
	seen->address = (__u64)BPF_CORE_READ(info, _sifields._sigfault._addr);
	if (BPF_CORE_READ(info, si_code) == BUS_MCEERR_AR)
		seen->flags = FAULT_DAMAGED;
}

/*
 * The arguments: the signal's number, its siginfo, and the process that gets it. The daemon itself
 * runs the program with the number FAULT_TRIAL, and an address: that is recorded as if it were the
 * address of a bus error.
 */
SEC("raw_tp/signal_generate")
int see_signal(struct bpf_raw_tracepoint_args *context)
{
	struct kernel_siginfo *info = (struct kernel_siginfo *)context->args[1];
	bool trial = context->args[0] == FAULT_TRIAL;
	struct task_struct *me = (struct task_struct *)bpf_get_current_task();
	bool found = false, looked;
	struct fault_counts *all;
	struct seen_fault *seen;
	__u32 zero = 0;

	if (!trial &&
		((__u32)context->args[0] != SIGBUS || !raised_by_mapping(info, context->args[2])))
		return 0;
	seen = bpf_map_lookup_elem(&scratch, &zero);
	all = bpf_map_lookup_elem(&counts, &zero);
	if (!seen || !all)
		return 0;
	__builtin_memset(seen, 0, sizeof *seen);
	if (trial)
		begin_trial(seen, context->args[1]);
	else
		begin_signal(seen, info, me);
	if (!seen->pid)
		return 0;
	looked = look(seen, me, &found);
	if (trial && looked && found)
		bpf_ringbuf_output(&records, seen, sizeof *seen, 0);
	else if (!trial && !looked)
		add_one(&all->not_attributed);
	else if (!trial && found)
		count_and_record(seen, all, me);
	return 0;
}

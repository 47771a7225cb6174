/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the BPF programs use of the kernel: the few members, of the few structs, that they read.
 *
 * preserve_access_index makes libbpf look up each member's place in the running kernel, so that
 * neither the order nor the rest of a struct matters here, and no generated vmlinux.h is needed.
 */
#pragma once

#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct idr {
	unsigned int idr_next;
};

struct pid_namespace {
	struct idr idr;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct kuid {
	unsigned int val;
};

struct cred {
	struct kuid euid;
};

struct seqcount {
	unsigned int sequence;
};

struct mm_struct {
	struct seqcount mm_lock_seq; /* since Linux 6.13 */
};

struct atomic_long {
	long counter;
};

struct rw_semaphore {
	struct atomic_long count; /* not with PREEMPT_RT */
};

struct mm_struct___plain {
	int mm_lock_seq;
	struct rw_semaphore mmap_lock;
};

struct atomic {
	int counter;
};

struct signal_struct {
	struct atomic live; /* threads that have not begun to exit */
};

struct files_struct;

struct task_struct {
	unsigned int flags;
	struct mm_struct *mm;
	int pid, tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_time, self_exec_id;
	const struct cred *real_cred;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
};

struct super_block {
	unsigned int s_dev;
	unsigned long s_flags, s_magic;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	unsigned int f_flags;
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff, vm_flags;
	struct mm_struct *vm_mm;
	struct file *vm_file;
};

struct ns_common {
	unsigned int inum;
};

struct ipc_namespace {
	struct ns_common ns;
};

/* What the file that shmat(2) maps has as its private data. */
struct shm_file_data {
	int id;
	struct ipc_namespace *ns;
	struct file *file;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

/* Not in the headers of older systems; the sizes are the kernel's ABI. */
struct bpf_iter_task {
	__u64 opaque[3];
} __attribute__((aligned(8)));

struct bpf_iter_task_vma {
	__u64 opaque[1];
} __attribute__((aligned(8)));

enum {
	TASK_ITER_ALL_PROCS = 0,
	TASK_ITER_PROC_THREADS = 2,
};

extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task,
	unsigned int flags) __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym;

extern int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task,
	__u64 address) __ksym;
extern struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
extern void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;

extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

/* Constants of the kernel's that no header for user space has. */
#define RWSEM_WRITER_LOCKED 1
#define PF_KTHREAD 0x00200000
#define SB_KERNMOUNT (1UL << 22)
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define FUSE_SUPER_MAGIC 0x65735546

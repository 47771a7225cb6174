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

struct xarray {
	void *xa_head;
};

struct xa_node {
	unsigned char shift, offset;
	struct xa_node *parent;
	void *slots[64];
};

struct idr {
	struct xarray idr_rt;
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

struct kgid {
	unsigned int val;
};

struct ns_common {
	unsigned int inum;
};

struct user_namespace {
	struct user_namespace *parent;
	int level;
	struct kuid owner;
	struct ns_common ns;
};

struct capabilities {
	__u64 val;
};

struct group_info {
	int ngroups;
	struct kgid gid[1];
};

struct cred {
	struct kuid uid, euid, suid, fsuid;
	struct kgid gid, egid, sgid, fsgid;
	struct capabilities cap_permitted, cap_effective;
	struct group_info *group_info;
	struct user_namespace *user_ns;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
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

struct file;
struct ipc_namespace;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct nsproxy {
	struct ipc_namespace *ipc_ns;
};

struct task_struct {
	unsigned int flags;
	struct mm_struct *mm;
	int pid, tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime, self_exec_id;
	const struct cred *real_cred;
	char comm[16];
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	struct signal_struct *signal;
	struct io_uring_task *io_uring;
};

/* Begins with 64 bits that are no pointer: read-kernel.h. */
struct timespec64 {
	__s64 tv_sec;
};

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct rb_node {
	struct rb_node *rb_right, *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct address_space {
	struct rb_root_cached i_mmap;
	unsigned long nrpages;
};

struct file_system_type {
	struct hlist_head fs_supers;
};

struct super_block {
	unsigned int s_dev;
	unsigned long s_flags, s_magic, s_blocksize;
	struct file_system_type *s_type;
	struct dentry *s_root;
	struct hlist_node s_instances;
	struct list_head s_inodes;
};

struct inode {
	unsigned short i_mode;
	struct kuid i_uid;
	struct kgid i_gid;
	unsigned long i_ino;
	unsigned int i_nlink, i_generation;
	long long i_size;
	__s64 i_atime_sec, i_mtime_sec, i_ctime_sec; /* since Linux 6.11 */
	__u32 i_atime_nsec, i_mtime_nsec, i_ctime_nsec;
	__u64 i_blocks;
	struct super_block *i_sb;
	struct address_space *i_mapping;
	struct list_head i_sb_list;
	struct hlist_head i_dentry;
	struct atomic i_writecount, i_readcount;
};

struct shmem_inode_info {
	unsigned long swapped;
	struct inode vfs_inode;
};

struct qstr {
	const unsigned char *name;
};

struct lockref {
	int count;
};

union dentry_links {
	struct hlist_node d_alias;
};

struct dentry {
	struct qstr d_name;
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct inode *d_inode;
	struct lockref d_lockref;
	union dentry_links d_u;
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

/* The private data of a file of FUSE. */
struct fuse_file {
	struct file *passthrough; /* since Linux 6.9, where it is built in */
};

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff, vm_flags;
	struct mm_struct *vm_mm;
	struct file *vm_file;
	struct {
		struct rb_node rb;
	} shared;
};

struct ipc_ids {
	struct idr ipcs_idr;
};

struct ipc_namespace {
	struct ipc_ids ids[3]; /* semaphores, messages, memory */
	struct ns_common ns;
};

struct kern_ipc_perm {
	int id;
};

struct shmid_kernel {
	struct kern_ipc_perm shm_perm;
	struct file *shm_file;
};

/* What the file that shmat(2) maps has as its private data. */
struct shm_file_data {
	int id;
	struct ipc_namespace *ns;
	struct file *file;
};

/* The list of a socket's messages begins with the first one's address, and so does each message. */
struct sk_buff_head {
	struct sk_buff *next;
};

struct sk_buff {
	struct sk_buff *next;
	struct sock *sk;
	char cb[48];
};

struct sock_common {
	unsigned short skc_family;
	unsigned char skc_state;
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	struct socket *sk_socket;
};

struct socket {
	struct sock *sk;
	struct file *file;
};

struct unix_sock {
	struct sock sk;
};

/* Files that a message carries; what a message of a UNIX socket keeps in its `cb`. */
struct scm_fp_list {
	short count;
	struct file *fp[1];
};

struct unix_skb_parms {
	struct scm_fp_list *fp;
};

/* The files registered with an io_uring: since Linux 6.13, and before. */
struct io_rsrc_node {
	unsigned long file_ptr;
};

struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};

struct io_file_table {
	struct io_rsrc_data data;
};

struct io_ring_ctx {
	struct io_file_table file_table;
};

/* The rings that a thread has made or used: a tree of nodes, by the ring's address. */
struct io_uring_task {
	struct xarray xa;
};

struct io_tctx_node {
	struct io_ring_ctx *ctx;
};

struct io_fixed_file {
	unsigned long file_ptr;
};

struct io_file_table___plain {
	struct io_fixed_file *files;
};

struct io_ring_ctx___plain {
	struct io_file_table___plain file_table;
	unsigned int nr_user_files;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__unix {
	struct bpf_iter_meta *meta;
	struct unix_sock *unix_sk;
};

#pragma clang attribute pop

/* Those that a kernel has; their values are its own. */
enum cgroup_subsys_id {
	memory_cgrp_id = 1,
	hugetlb_cgrp_id,
};

/* Not in the headers of older systems; the sizes are the kernel's ABI. */
#ifndef HAVE_BPF_ITER_NUM
struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));
#endif

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

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

/* Constants of the kernel's that no header for user space has. */
#define RWSEM_WRITER_LOCKED 1
#define XA_NODE 2 /* the lower two bits of a tree's entry that is a node */
#define PF_KTHREAD 0x00200000
#define SB_KERNMOUNT (1UL << 22)
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define NSFS_MAGIC 0x6e736673
#define FUSE_SUPER_MAGIC 0x65735546
#define SOCKFS_MAGIC 0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934
#define AF_UNIX 1
#define TCP_LISTEN 10

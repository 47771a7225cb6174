/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF programs that list the open files in queues of UNIX sockets (SCM_RIGHTS), and those
 * registered with an io_uring, which may be in no descriptor table; and descriptors of namespaces.
 *
 * The kernel's iterators hold a reference to the file, or the socket, for which they call a
 * program. The programs read its queue without the queue's lock, by reads that cannot fault: a file
 * that is taken off the queue meanwhile may be reported, or be missing. So the result is for a
 * table that names holders, never for a count.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include "bpf/kernel.h"
#include "bpf/read-kernel.h"
#include "bpf/viewer.h"
#include "census/object/holder-records.h"

char LICENSE[] SEC("license") = "GPL";

#define MESSAGES_MAX 65536
#define MESSAGE_FILES_MAX 253 /* SCM_MAX_FD */
#define RING_FILES_MAX 1048576
#define TREE_STEPS_MAX 1048576 /* through the tree of a thread's rings */
#define TREE_SLOTS 64          /* of a node */
/*
 * How many records one run of a program writes at most. More than the kernel's buffer of 32 KiB
 * holds would end the whole list with E2BIG: one socket could hide what all others have.
 */
#define RECORDS_MAX 400

/*
 * How many more messages and places of rings this list may look at; holders_list() sets it before.
 * Otherwise a process that has one large ring open a thousand times would keep all callers waiting
 * for hours.
 */
__u32 steps_left;

/*
 * Zero, which the verifier must not know: it then checks a loop that begins with it for all values at
 * once.
 */
__u32 first_slot;

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define FILE_BITS 7UL /* flags of io_uring in the address of a file */

/* Returns the UNIX socket that a file is, or NULL. */
static struct sock *unix_socket(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK ||
		BPF_CORE_READ(inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	sk = BPF_CORE_READ(socket, sk);
	return sk && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX ? sk : NULL;
}

/*
 * Returns the file that counts on the segment: of a FUSE file the backing file of its passthrough,
 * or NULL.
 */
static struct file *counted_file(struct file *file)
{
	struct fuse_file *fuse;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != FUSE_SUPER_MAGIC)
		return file;
	fuse = BPF_CORE_READ(file, private_data);
	if (!fuse || !bpf_core_field_exists(fuse->passthrough))
		return NULL;
	return BPF_CORE_READ(fuse, passthrough);
}

/* Returns whether the list may look at one more message or place, and counts it. */
static bool take_step(void)
{
	if (steps_left == 0)
		return false;
	steps_left--;
	return true;
}

/*
 * Writes the record if the file may be a segment, or is a socket, whose queue may have some; up to
 * RECORDS_MAX in one run.
 */
static void write_held(struct seq_file *seq, struct seen_holder *record, struct file *held)
{
	struct file *file = counted_file(held);
	unsigned long magic;

	if (!file)
		return;
	record->socket = (__u64)unix_socket(file);
	record->file = (__u64)file;
	record->inode = (__u64)BPF_CORE_READ(file, f_inode);
	record->flags = BPF_CORE_READ(file, f_flags);
	magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
	if (record->number < RECORDS_MAX &&
		(record->socket || magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC)) {
		record->number++;
		bpf_seq_write(seq, record, sizeof *record);
	}
}

static void write_message(struct seq_file *seq, struct seen_holder *record, __u64 message)
{
	__u64 files =
		read_word(message + OFFSET(struct sk_buff, cb) + OFFSET(struct unix_skb_parms, fp));
	struct bpf_iter_num it;
	__s16 count;
	int *at;

	if (!files)
		return;
	count = BPF_CORE_READ((struct scm_fp_list *)files, count);
	bpf_iter_num_new(&it, 0, MESSAGE_FILES_MAX);
	while ((at = bpf_iter_num_next(&it))) {
		__u64 file;

		if (*at >= count)
			break;
		file = read_word(files + OFFSET(struct scm_fp_list, fp) + 8 * (__u64)*at);
		if (file)
			write_held(seq, record, (struct file *)file);
	}
	bpf_iter_num_destroy(&it);
}

static void write_queue(struct seq_file *seq, struct seen_holder *record, struct sock *sk)
{
	__u64 head = (__u64)sk + OFFSET(struct sock, sk_receive_queue);
	__u64 message = read_word(head);
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, MESSAGES_MAX);
	while (bpf_iter_num_next(&it)) {
		if (!message || message == head || !take_step())
			break;
		write_message(seq, record, message);
		message = read_word(message);
	}
	bpf_iter_num_destroy(&it);
}

/*
 * Writes the files in the queues of connections to a listening socket: its messages are connections
 * to be accepted, each a socket with a queue.
 */
static void write_connections(struct seq_file *seq, struct seen_holder *record, struct sock *sk)
{
	__u64 head = (__u64)sk + OFFSET(struct sock, sk_receive_queue);
	__u64 message = read_word(head);
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, MESSAGES_MAX);
	while (bpf_iter_num_next(&it)) {
		struct sock *connection;

		if (!message || message == head || !take_step())
			break;
		connection = BPF_CORE_READ((struct sk_buff *)message, sk);
		record->queue = (__u64)connection;
		if (connection)
			write_queue(seq, record, connection);
		message = read_word(message);
	}
	bpf_iter_num_destroy(&it);
}

static void write_socket(struct seq_file *seq, struct seen_holder *record, struct sock *sk)
{
	record->queue = (__u64)sk;
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		write_connections(seq, record, sk);
	else
		write_queue(seq, record, sk);
}

/* Returns the number of a ring's registered files, and in `array` where their array begins. */
static __u32 ring_files(struct io_ring_ctx *ring, __u64 *array)
{
	struct io_ring_ctx___plain *before = (struct io_ring_ctx___plain *)ring;

	if (bpf_core_field_exists(ring->file_table.data.nodes)) {
		*array = (__u64)BPF_CORE_READ(ring, file_table.data.nodes);
		return BPF_CORE_READ(ring, file_table.data.nr);
	}
	if (bpf_core_field_exists(before->file_table.files)) {
		*array = (__u64)BPF_CORE_READ(before, file_table.files);
		return BPF_CORE_READ(before, nr_user_files);
	}
	return 0;
}

static struct file *ring_file(struct io_ring_ctx *ring, __u64 array, __u32 at)
{
	__u64 place = array + 8 * (__u64)at;

	if (bpf_core_field_exists(ring->file_table.data.nodes)) {
		place = read_word(place);
		if (!place)
			return NULL;
		place += OFFSET(struct io_rsrc_node, file_ptr);
	}
	return (struct file *)(read_word(place) & ~FILE_BITS);
}

static void write_ring(struct seq_file *seq, struct seen_holder *record, struct io_ring_ctx *ring)
{
	struct bpf_iter_num it;
	__u64 array = 0;
	__u32 count = ring_files(ring, &array);
	int *at;

	record->ring = (__u64)ring;
	bpf_iter_num_new(&it, 0, RING_FILES_MAX);
	while ((at = bpf_iter_num_next(&it))) {
		struct file *file;

		if ((__u32)*at >= count || !take_step())
			break;
		file = ring_file(ring, array, *at);
		if (file)
			write_held(seq, record, file);
	}
	bpf_iter_num_destroy(&it);
}

static bool is_ring(struct file *file)
{
	char name[11] = {};

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC ||
		bpf_probe_read_kernel_str(name, sizeof name,
			BPF_CORE_READ(file, f_path.dentry, d_name.name)) < 0)
		return false;
	for (unsigned i = 0; i < sizeof name; i++)
		if (name[i] != "[io_uring]"[i])
			return false;
	return true;
}

/* Says which process the thread is of; false where the daemon's pid namespace does not have it. */
static bool describe_process(struct seen_holder *record, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct viewer viewer;

	viewer_init(&viewer);
	record->pid = viewer_pid(&viewer, leader);
	if (!record->pid)
		return false;
	record->task = task->pid;
	record->uid = leader->real_cred->euid.val;
	bpf_probe_read_kernel(record->command, COMMAND_SIZE, leader->comm);
	return true;
}

/*
 * Lists what the sockets and io_urings of all processes hold. The kernel's iterator holds a
 * reference to the socket's or ring's file, and skips threads that share their leader's table.
 */
SEC("iter/task_file")
int list_of_processes(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct seen_holder record = {};
	struct sock *sk;
	bool ring;

	if (!task || !file || task->flags & PF_KTHREAD)
		return 0;
	sk = unix_socket(file);
	ring = !sk && is_ring(file);
	if (!sk && !ring)
		return 0;
	if (!describe_process(&record, task))
		return 0;
	record.fd = ctx->fd;
	if (ring) {
		write_ring(ctx->meta->seq, &record, file->private_data);
		return 0;
	}
	record.queue_ino = BPF_CORE_READ(file, f_inode, i_ino);
	write_socket(ctx->meta->seq, &record, sk);
	return 0;
}

/* Lists the descriptors of namespaces, of whichever type, that processes have. */
SEC("iter/task_file")
int list_of_namespaces(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct seen_holder record = {};

	if (!task || !file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != NSFS_MAGIC ||
		!describe_process(&record, task))
		return 0;
	record.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &record, sizeof record);
	return 0;
}

/*
 * Writes what the rings of a thread hold. The kernel keeps them in a tree without locks for readers:
 * the program goes from node to node, down by the entries and up by the nodes' parents.
 */
static void write_rings(struct seq_file *seq, struct seen_holder *record, __u64 root)
{
	__u64 node = root - XA_NODE, slot = first_slot;
	struct bpf_iter_num it;

	if ((root & 3) != XA_NODE)
		return;
	bpf_iter_num_new(&it, 0, TREE_STEPS_MAX);
	while (bpf_iter_num_next(&it)) {
		struct xa_node *place = plain((void *)node, struct xa_node);
		__u64 entry;

		if (!node || !take_step())
			break;
		if (slot >= TREE_SLOTS) {
			slot = (__u64)place->offset + 1;
			node = (__u64)place->parent;
			continue;
		}
		entry = read_word(node + OFFSET(struct xa_node, slots) + 8 * slot);
		slot++;
		if ((entry & 3) == XA_NODE) {
			node = entry - XA_NODE;
			slot = first_slot;
		} else if (entry && (entry & 3) == 0) {
			write_ring(seq, record, BPF_CORE_READ((struct io_tctx_node *)entry, ctx));
		}
	}
	bpf_iter_num_destroy(&it);
}

/*
 * Lists what the io_urings hold that a thread has made or used, by the kernel's own note of them. It
 * has also rings without a descriptor: such as are registered with themselves
 * (IORING_REGISTER_RING_FDS), and those that were closed, but whose files the kernel keeps until that
 * thread has run. A stopped thread may keep them for ever.
 */
SEC("iter/task")
int list_of_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seen_holder record = {};
	struct io_uring_task *rings;

	if (!task || task->flags & PF_KTHREAD || !bpf_core_field_exists(task->io_uring))
		return 0;
	rings = BPF_CORE_READ(task, io_uring);
	if (!rings)
		return 0;
	if (!describe_process(&record, task))
		return 0;
	record.fd = -1;
	write_rings(ctx->meta->seq, &record, (__u64)BPF_CORE_READ(rings, xa.xa_head));
	return 0;
}

/*
 * Lists what all sockets of the network namespace hold, also those that no process has open because
 * they are in a queue themselves.
 */
SEC("iter/unix")
int list_of_sockets(struct bpf_iter__unix *ctx)
{
	struct seen_holder record = {};
	struct sock *sk = (struct sock *)ctx->unix_sk;

	if (!sk)
		return 0;
	record.queue_ino = BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
	write_socket(ctx->meta->seq, &record, sk);
	return 0;
}

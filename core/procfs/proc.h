/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A procfs under a prefix: the live one, that of another pid namespace, or a recorded tree.
 *
 * The directory of a process is opened once, and all its files are read through it: the kernel
 * binds the directory to the process. If the process ends and its pid is used anew between two
 * reads, they fail (-ESRCH).
 */
#pragma once

#include "base/util.h"

#include <glib.h>

struct proc;

/* -ENOTDIR, -ENOENT, -EACCES: as open(2) of the prefix. */
int proc_open(const char *prefix, struct proc **out);
void proc_close(struct proc *proc);

/* The prefix as it was given. */
const char *proc_prefix(const struct proc *proc);

/*
 * Whether the pids of this procfs are those that system calls of this process understand. Not so
 * for a recorded tree, nor for another pid namespace's procfs.
 */
bool proc_is_own(const struct proc *proc);

/*
 * Whether it is a procfs, of any pid namespace. If not, it is a recorded tree, which never changes.
 */
bool proc_is_live(const struct proc *proc);

/*
 * The pid by which this procfs knows the process that has `pid` in our pid namespace: the same one,
 * except for our own process in another namespace's procfs.
 */
pid_t proc_pid_here(const struct proc *proc, pid_t pid);

/*
 * Why whole processes may be missing from the procfs, in one line, or NULL. Kernel threads exist in
 * the initial pid namespace only, and the mount option `hidepid` hides them first of all. So if pid
 * 2, which is always a kernel thread, is shown, neither hides any process.
 */
const char *proc_incomplete_view(const struct proc *proc);

/*
 * The number of hard links of the procfs's root. It changes by one with each process of the machine
 * that starts or ends, even if we may not see that process, and hardly ever otherwise. 0: unknown.
 */
uint64_t proc_links(const struct proc *proc);

/* Appends the pids (pid_t) listed now. */
int proc_list(const struct proc *proc, GArray *pids);

/*
 * Opens /proc/PID: a directory descriptor for openat(2), which the caller closes. -ENOENT or
 * -ESRCH: no such process.
 */
int proc_open_pid(const struct proc *proc, pid_t pid);

/* What /proc/PID/stat tells of a process or a thread. */
struct proc_stat {
	char command[16];
	char state;
	uint64_t flags;      /* PF_* of the kernel */
	uint64_t start_time; /* clock ticks after boot */
	uint64_t layout; /* where the program, its stack and its arguments lie: equal in all that
				share an address space or were forked from it, else different */
};

/*
 * Reads `stat` in `dir`, a directory of /proc/PID or /proc/PID/task/TID. -ESRCH when the process or
 * thread is gone, -EPROTO if the text is not what the kernel writes.
 */
int proc_read_stat(int dir, struct proc_stat *stat);

/* Parses the text of such a file. False if it is not what the kernel writes. Pure. */
bool proc_parse_stat(const char *text, struct proc_stat *stat);

bool proc_is_kernel_thread(const struct proc_stat *stat);

/* A thread of a process that the kernel has made for an io_uring: a worker, or who polls its queue. */
bool proc_is_io_worker(const struct proc_stat *stat);

/* A kernel thread, or a thread that has given up its address space (or is about to). */
bool proc_has_no_mm(const struct proc_stat *stat);

/*
 * Whether the process has no thread but its first one. While it has others, a list of threads that
 * are all found dead proves nothing: each may have made the next one and ended since it was listed.
 */
bool proc_is_alone(int dir);

/* Append the thread ids, or the descriptor numbers, of a process as int. */
int proc_list_threads(int dir, GArray *tids);
int proc_list_descriptors(int dir, GArray *fds);

/* A directory descriptor of /proc/PID/task/TID, which the caller closes. */
int proc_open_thread(int dir, pid_t tid);

/* The inode number of a process's namespace ("ipc", "mnt"); 0, with errno set, if unknown. */
uint32_t proc_namespace(int dir, const char *name);

/*
 * Reads a file to its end or until the buffer is full, and puts a zero byte behind it. Returns the
 * number of bytes without that one, or a negative errno.
 */
ssize_t proc_read_file(int dir, const char *name, char *buffer, size_t size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A procfs under a prefix: the live one, another's (a container's host), or a recorded tree.
 *
 * A process is opened once and asked through its directory: the kernel binds that to the process,
 * so that a pid used anew in the middle of the questions answers none of them (-ESRCH).
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

/* Whether it is a procfs at all, of whatever pid namespace: what a recorded tree says stands still. */
bool proc_is_live(const struct proc *proc);

/*
 * The pid by which this procfs knows a process of our pid namespace: itself, except where the
 * caller asks about itself in another namespace's procfs.
 */
pid_t proc_pid_here(const struct proc *proc, pid_t pid);

/*
 * Why processes may be missing from the procfs altogether, in one line, or NULL. Kernel threads
 * live in the initial pid namespace alone and are hidden first of all by `hidepid`, so that the
 * one which is always pid 2 tells of both.
 */
const char *proc_incomplete_view(const struct proc *proc);

/*
 * The number of hard links of the procfs's root: it moves by one with each process of the machine
 * that is made or gone, whoever may see it, and hardly ever otherwise. 0 if it is not to be had.
 */
uint64_t proc_links(const struct proc *proc);

/* Appends the pids (pid_t) listed now. */
int proc_list(const struct proc *proc, GArray *pids);

/*
 * A directory descriptor of /proc/PID, for openat(2), which the caller closes. -ENOENT or -ESRCH:
 * no such process.
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

/* `dir` is of /proc/PID or /proc/PID/task/TID. -ESRCH when it is gone, -EPROTO if unintelligible. */
int proc_read_stat(int dir, struct proc_stat *stat);

/* The pure part of it. False if `text` is none. */
bool proc_parse_stat(const char *text, struct proc_stat *stat);

bool proc_is_kernel_thread(const struct proc_stat *stat);

/* A kernel thread, or a thread that has given up its address space (or is about to). */
bool proc_has_no_mm(const struct proc_stat *stat);

/*
 * Whether no thread but the first is left. While there are others, a listing that shows none alive
 * proves nothing: each may have made the next and ended since it was listed.
 */
bool proc_is_alone(int dir);

/* The effective user id. */
int proc_read_uid(int dir, uid_t *uid);

/* Thread ids and descriptor numbers of a process, appended as int. */
int proc_list_threads(int dir, GArray *tids);
int proc_list_descriptors(int dir, GArray *fds);

/* A directory descriptor of /proc/PID/task/TID, which the caller closes. */
int proc_open_thread(int dir, pid_t tid);

/* The inode number of a namespace ("ipc", "mnt"): 0, with errno, where it cannot be told. */
uint32_t proc_namespace(int dir, const char *name);

/* Reads a small file to the end, whatever a single read gives. The count, or a negative errno. */
ssize_t proc_read_file(int dir, const char *name, char *buffer, size_t size);

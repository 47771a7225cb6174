/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the BPF programs and the back end that runs them tell each other. Nothing here is padded. */
#pragma once

#include <linux/types.h>

#define COMMAND_SIZE 16
#define SEEN_NAME 256

/* One for each process that has an address space. */
struct mm_version {
	__u64 mm;         /* the address space: its address in the kernel */
	__u64 start_time; /* of the process, ns after boot */
	__u64 exec_id;    /* moves at each execve(2) */
	__u64 task;       /* a live thread, as the initial pid namespace numbers it */
	__u32 seq;        /* mm_lock_seq */
	__s32 pid;        /* these as the pid namespace of the one who asks does */
	__s32 thread;     /* the live one */
	__u32 uid;        /* effective */
	char command[COMMAND_SIZE];
};

/* Out of the program `walk`. */
struct walk {
	__u32 pid_cursor;       /* moves with each process or thread made; read before the walk */
	__u32 pid_cursor_after; /* the same, read after it */
	__u32 met;              /* processes that the walk came by, of any kind and namespace */
	__u32 count;            /* of versions; more than fit: too few were written */
	__u32 uncertain; /* processes that live, but of which no thread with the mm was met */
	__u32 level; /* of the pid namespace: 0 is the initial one, in which all processes are */
};

/* A file of a tmpfs, hugetlbfs or FUSE. */
struct seen_file {
	/*
	 * The open file that the kernel counts as one reference on the segment: its address, never to
	 * be shown. Of a file of FUSE the one that passthrough opened below it; 0: there is none.
	 */
	__u64 file;
	__u64 ino;
	__u32 dev;            /* as the kernel encodes it: major << 20 | minor */
	__u32 ipc_ns;         /* inode number; 0: not known to be attached by shmat(2) */
	char name[SEEN_NAME]; /* of its dentry */
};

struct seen_mapping {
	__u64 start, end;
	__u64 pgoff;
	__u64 flags;     /* vm_flags */
	__u64 same_file; /* as the mapping before: `file` is not filled in */
	struct seen_file file;
};

struct seen_descriptor {
	__u64 table;      /* the descriptor table: its address in the kernel */
	__u64 start_time; /* of the process */
	__s32 pid;
	__s32 task;
	__u32 uid;
	__s32 fd;
	__u64 flags; /* f_flags */
	char command[COMMAND_SIZE];
	struct seen_file file;
};

enum read_status {
	READ_DONE,
	READ_MORE, /* the buffer is full: go on from `next` */
	READ_GONE, /* the thread, or its use of this address space */
	READ_BUSY, /* someone has the address space locked */
	READ_TORN, /* it changed meanwhile: each mapping was there at some instant, not all at one */
};

/* In and out of the program `read_space`. */
struct read_space {
	__u64 mm;    /* in: as in the version; 0: any */
	__u64 from;  /* in: address to begin with */
	__u64 next;  /* out */
	__u32 first; /* in: element of the map `mappings` to begin with */
	__u32 room;  /* in: elements to be used at most */
	__s32 task;  /* in: as in the version; 0: the one that asks */
	__u32 seq;   /* out: at which it was as the mappings say */
	__u32 status;
	__u32 count;
	__u32 torn; /* out, with READ_DONE and READ_MORE: it changed, or was being changed */
};

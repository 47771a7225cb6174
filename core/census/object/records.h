/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structures that the BPF programs of object.bpf.c, and the functions that run them, exchange.
 * They have no padding.
 */
#pragma once

#include <linux/types.h>

#define OBJECT_NAME 256

/*
 * The name in a root directory that is no name of a POSIX object. It has eight characters:
 * read-names.h. POSIX_RESERVED_NAME is the same, in a layer above.
 */
#define RESERVED_NAME ".shmtree"

#define SUPERS_SHOWN 4096

enum object_flag {
	OBJECT_MAPPED = 1 << 0,    /* some address space maps it */
	OBJECT_IN_ROOT = 1 << 1,   /* has a name in the root directory of its file system */
	OBJECT_UNCERTAIN = 1 << 2, /* its names changed while they were read: look again */
	OBJECT_OTHER = 1 << 3,     /* not a regular file */
	OBJECT_HUGE = 1 << 4,      /* of hugetlbfs */
	OBJECT_SHOWN =
		1 << 5, /* with facts: one of its names in the root directory is not reserved */
};

/* An inode of a tmpfs or hugetlbfs. */
struct seen_object {
	__u64 inode; /* its address in the kernel: never to be shown */
	__u64 ino;
	__u64 blocks;  /* of 512 bytes */
	__u64 swapped; /* pages; tmpfs only */
	__u64 size;
	__u32 dev; /* as the kernel encodes it: major << 20 | minor */
	__u32 generation;
	__u32 references; /* on its directory entries, less one for each name */
	__u32 flags;      /* OBJECT_* */
	__s32 writers;    /* open files with write access; 0 where the kernel does not count them */
	__s32 readers;    /* open files with read access only; likewise */
	__u32 nlink;
	__u32 detail; /* index of its struct seen_detail, plus 1; 0: it has none */
	__u32 uid;    /* as in the initial user namespace */
	__u32 unused;
};

/*
 * An inode that nothing uses: it has one name, in the root directory of its tmpfs, no open file and
 * no mapping. There may be a million of them, so this is all that is told of each.
 */
struct quiet_object {
	__u64 ino;
	__u32 generation;
	__u32 flags; /* QUIET_* (quiet.h); the program leaves it 0 */
};

/* What else is known of such an inode, if it is asked for. */
struct quiet_fact {
	__u64 inode; /* its address in the kernel: never to be shown */
	__u64 ino;
	__u64 size;
	__u64 blocks; /* of 512 bytes */
	__u32 generation;
	__u32 uid; /* as in the initial user namespace */
};

/*
 * What else is known of an inode without a name in the root directory, or of the one that
 * describe_inode() is asked for. Times are 0 where they are not known.
 */
struct seen_detail {
	__u64 size;
	__s64 atime, mtime, ctime; /* seconds */
	__u32 atime_nsec, mtime_nsec, ctime_nsec;
	__u32 mode;
	__u32 uid, gid; /* as in the initial user namespace */
	char name[OBJECT_NAME];
};

enum walk_status {
	WALK_DONE,
	WALK_TORN, /* an inode was taken off the list next to where the program was: walk again */
	WALK_NONE, /* there is no such file system */
};

/* Input and output of walk_inodes(). */
struct object_walk {
	__u32 fd;    /* in: of a file system of the same type */
	__u32 dev;   /* in: which file system; 0: that one */
	__u32 whole; /* in: what nothing uses is among the objects, too */
	__u32 status;
	__u32 count;        /* out: objects; if there was no room for all, the rest is missing */
	__u32 details;      /* out: likewise */
	__u32 quiet;        /* out: likewise, of those that are not among the objects */
	__u32 facts;        /* in: facts of these, and OBJECT_SHOWN of all others */
	__u64 quiet_blocks; /* out: of all of these, of 512 bytes */
	__u64 quiet_swapped;
	__u32 first_fact; /* in: index of the first */
	/* Out, with `facts`: there may be more objects in the root directory than were listed. */
	__u32 unclear;
};

/* What all inodes of one file system take together. */
struct seen_super {
	__u64 resident, swapped; /* bytes */
	__u64 page_size;         /* of its files; hugetlbfs: of the huge pages */
	__u32 dev;               /* as in a struct seen_object */
	__u32 status;            /* enum walk_status */
};

/* Input and output of sum_supers(): all file systems of one type. */
struct super_sums {
	__u32 fd;    /* in: of a file system of that type */
	__u32 count; /* out; if there was no room for all, the rest is missing */
};

/* Input and output of look_at_inode(). */
struct object_look {
	__u32 fd;    /* in: of the file, if `sysv` is not set */
	__u32 shmid; /* in: of the System V segment, in the calling thread's IPC namespace */
	__u32 sysv;  /* in */
	__u32 found; /* out */
	struct seen_object object;
};

/* Input and output of describe_inode(). */
struct object_describe {
	__u64 inode, ino; /* in */
	__u32 generation; /* in */
	__u32 dev;        /* in: as in a struct seen_object */
	__u32 found;      /* out: that inode is there still; else the rest means nothing */
	__u32 nlink;      /* out */
	struct seen_detail detail;
};

/* A file of a tmpfs or hugetlbfs that the calling process has open: addresses in the kernel. */
struct own_file {
	__u64 file, inode;
	__u64 flags; /* f_flags */
};

/* Output of list_own_files(). */
struct own_files {
	__u32 count; /* if there was no room for all, the rest is missing */
	__u32 unused;
};

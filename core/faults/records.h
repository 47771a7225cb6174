/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structures that the BPF programs of faults.bpf.c, and the functions that run them, exchange.
 * They have no padding.
 */
#pragma once

#include "census/bpf/records.h"

#define FAULT_NAME 256

enum fault_cause {
	FAULT_TRUNCATED,    /* beyond the end of the segment */
	FAULT_NO_SPACE,     /* its tmpfs, or hugetlbfs with a limit, is full */
	FAULT_NO_HUGE_PAGE, /* the pool of huge pages is empty, or all are reserved */
	FAULT_CGROUP,       /* a control group's limit of huge pages (hugetlb) was reached */
	FAULT_OTHER,
	FAULT_CAUSES
};

enum fault_flag {
	FAULT_NAMED = 1 << 0,    /* the file has a name */
	FAULT_IN_ROOT = 1 << 1,  /* in the root directory of its file system */
	FAULT_HUGE = 1 << 2,     /* of hugetlbfs */
	FAULT_READABLE = 1 << 3, /* the process's own user could read its memory */
	FAULT_DAMAGED = 1 << 4,  /* the memory itself was found damaged */
	FAULT_PRIVATE = 1 << 5,  /* a private mapping */
};

/* One bus error. */
struct seen_fault {
	__u64 time;       /* CLOCK_BOOTTIME, ns */
	__u64 start_time; /* of the process, likewise */
	__u64 address;
	__u64 ino;
	__u64 offset;    /* bytes into the segment */
	__u64 size;      /* bytes, of the segment */
	__u64 limit;     /* bytes that its file system may have; 0: it has no limit */
	__u64 used;      /* bytes that it has, where there is a limit */
	__u64 huge_page; /* bytes in one, of hugetlbfs; else 0 */
	__u64 group;    /* the process's memory cgroup: inode number of its directory; 0: unknown */
	__u64 account;  /* who answers for the process: see account_of() in faults.bpf.c */
	__u64 left_out; /* bus errors of the process, just before this one, without a record */
	__u32 dev;      /* as the kernel encodes it: major << 20 | minor */
	__u32 ipc_ns;   /* System V: its namespace */
	__s32 pid;      /* as the daemon knows it */
	__u32 uid;      /* effective */
	__u32 cause;    /* enum fault_cause */
	__u32 flags;    /* FAULT_* */
	char command[COMMAND_SIZE];
	char name[FAULT_NAME]; /* of the file: "x", "memfd:x", "SYSV00000000" */
};

/* Since the programs were loaded. */
struct fault_counts {
	__u64 by_cause[FAULT_CAUSES]; /* all bus errors on segments */
	__u64 left_out;               /* of these, those without a record */
	__u64 not_attributed; /* bus errors whose mapping could not be looked at: on a segment or not */
};

/* In the place of a signal's number: the program is run for a trial. No signal has it. */
#define FAULT_TRIAL 0x7ffffffful

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the BPF program that reads the credentials of a thread, and the daemon, tell each other. */
#pragma once

#include <linux/types.h>

/* Of a thread in more groups than these only the number is told. */
#define CREDENTIAL_GROUPS_MAX 32

struct seen_credentials {
	__u32 thread; /* asked for: its number in the first pid namespace */
	__u32 found;  /* 0: there is no such thread, and nothing below is told */
	__u32 uid, fsuid;
	__u64 permitted, effective; /* capabilities, a bit each */
	__u32 flags;                /* of the task: PF_* of the kernel */
	__u32 user_ns;              /* inode number */
	__u32 n_groups;
	__u32 groups[CREDENTIAL_GROUPS_MAX];
	__u32 unused; /* so that the size is a multiple of 8 */
};

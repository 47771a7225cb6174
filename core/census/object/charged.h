/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells which memory cgroups pay for the pages of one object. The result is exact: the kernel notes
 * the group with each page that is in memory. The BPF program is loaded at the first call.
 *
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct charged;

struct charged *charged_new(void);
void charged_free(struct charged *charged);

/* What one group pays for. */
struct charge_of_group {
	uint64_t
		/* Inode number of its directory in the cgroup file system; 0: no group pays. */
		group;
	uint64_t bytes;
};

struct charge_sums {
	struct charge_of_group *groups; /* owned: g_free() */
	unsigned n;
	uint64_t bytes, swapped; /* of the whole file; swap is in none of the groups */
	uint64_t lost;           /* bytes of groups for which there was no room */
	bool stopped;            /* the time limit was reached: the rest is not counted */
	uint64_t stopped_at;     /* bytes into the file */
};

/*
 * Sums the pages of a file by group: the file with that inode, number and generation (struct
 * object_now). It takes some 200 ns a page, and stops after `limit_us` microseconds. Returns 0, and
 * `out`; -ENOTSUP where this kernel does not note the groups, or the program cannot be loaded;
 * -ESTALE if the inode is another file's; or another negative errno.
 */
int charged_read(struct charged *charged, uint64_t inode, uint64_t ino, uint32_t generation,
	int64_t limit_us, struct charge_sums *out);

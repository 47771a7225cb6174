/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all files of each tmpfs and hugetlbfs take together, from the kernel's own lists of inodes.
 *
 * Threads: any; one at a time reads the lists.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

struct sums;

struct super_sum {
	uint64_t dev;               /* st_dev */
	uint64_t huge_page;         /* hugetlbfs: the size of its pages; 0: a tmpfs */
	uint64_t resident, swapped; /* bytes */
};

/* The program is loaded by the first sums_read(). */
struct sums *sums_new(void);
void sums_free(struct sums *sums);

/*
 * Appends a struct super_sum for each tmpfs and hugetlbfs of the machine, once: those of every mount
 * namespace, and the kernel's own mounts. 0 or a negative errno: -ENOTSUP where the kernel does not take the
 * program, -EAGAIN where inodes came and went all the while, -E2BIG for more than SUPERS_SHOWN.
 */
int sums_read(struct sums *sums, GArray *out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the BPF program that visits the pages of a file, and the function that runs it, tell each other. */
#pragma once

#include <linux/types.h>

enum charge_status {
	CHARGE_MORE,  /* there are more pages, from `at` on */
	CHARGE_DONE,  /* all have been visited */
	CHARGE_OTHER, /* the inode is another file's by now */
	CHARGE_BLIND, /* this kernel does not tell which group pays */
};

/* In and out. */
struct charge_walk {
	__u64 inode; /* in: its address in the kernel */
	__u64 ino;   /* in: its number, and generation, which must be these */
	__u32 generation;
	__u32 status;  /* out: enum charge_status */
	__u64 request; /* in: the first part of the keys */
	__u64 at;      /* in and out: the number of the next page */
	__u64 pages;   /* in memory; added to, here and below */
	__u64 swapped; /* in swap, whose payer is not kept with the file */
	__u64 lost;    /* pages for whose group there was no room */
};

/* Of the map of the program: how many pages each group pays for. */
struct charge_key {
	__u64 request;
	__u64 group; /* inode number of its directory; 0: none pays */
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The structures that the BPF program walk_charges() and the functions that run it exchange. */
#pragma once

#include <linux/types.h>

enum charge_status {
	CHARGE_MORE,  /* there are more pages, from `at` on */
	CHARGE_DONE,  /* all have been visited */
	CHARGE_OTHER, /* the inode is another file's by now */
	CHARGE_BLIND, /* the kernel does not note which group pays, or not as it is read here */
};

/* Input and output of walk_charges(). */
struct charge_walk {
	__u64 inode; /* in: its address in the kernel */
	__u64 ino;   /* in: its number, and generation, which must be these */
	__u32 generation;
	__u32 status;  /* out: enum charge_status */
	__u64 request; /* in: the first part of the keys */
	__u64 at;      /* in and out: the number of the next page */
	__u64 pages;   /* in memory; added to, here and below */
	__u64 swapped; /* in swap; the file does not tell who pays for these */
	__u64 lost;    /* pages for whose group there was no room */
};

/* A key of the map `charges`, whose values are the numbers of pages that each group pays for. */
struct charge_key {
	__u64 request;
	__u64 group; /* inode number of its directory; 0: no group pays */
};

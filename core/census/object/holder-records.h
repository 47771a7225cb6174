/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the BPF programs that look for open files where no descriptor table has them, and the
 * functions that run them, tell each other. Nothing here is padded. Addresses are the kernel's, and
 * never to be shown.
 */
#pragma once

#include "census/bpf/records.h"

/*
 * A file in the queue of a UNIX socket, or registered with an io_uring; once for each descriptor of
 * that socket or ring.
 */
struct seen_holder {
	__u64 queue;     /* address of the socket; 0: it is an io_uring */
	__u64 queue_ino; /* the socket's inode number; of a connection to be accepted the listener's */
	__u64 file;      /* the file that is held: its address; the inode's */
	__u64 inode;
	__u64 socket; /* the file is a UNIX socket itself: its address; 0 if not */
	__u32 flags;  /* f_flags of the file */
	__s32 pid; /* who has the socket or ring open; 0: the program that lists sockets does not know */
	__s32 task;
	__u32 uid;
	__s32 fd;     /* of the socket or ring */
	__u32 number; /* of the record among those of its descriptor, from 1 */
	char command[COMMAND_SIZE];
};

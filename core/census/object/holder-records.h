/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record that the BPF programs of holders.bpf.c write and holders.c reads. It has no padding.
 * Addresses are the kernel's, and must never be shown.
 */
#pragma once

#include "census/bpf/records.h"

/*
 * A file in the queue of a UNIX socket, or registered with an io_uring. list_of_processes() writes
 * one for each descriptor of that socket or ring, list_of_sockets() one for each socket,
 * list_of_threads() one for each thread that has made or used the ring.
 */
struct seen_holder {
	__u64 queue;     /* address of the socket; 0: it is an io_uring */
	__u64 queue_ino; /* its inode number; of a connection to be accepted the listener's */
	__u64 ring;      /* address of the io_uring; 0: it is a socket */
	__u64 file;      /* the file that is held: its address; the inode's */
	__u64 inode;
	__u64 socket; /* the file is a UNIX socket itself: its address; 0 if not */
	__u32 flags;  /* f_flags of the file */
	__s32 pid;    /* a process that has it open; 0: list_of_sockets() does not know */
	__s32 task;
	__u32 uid;
	__s32 fd;     /* of the socket or ring; -1: list_of_threads() does not know */
	__u32 number; /* of the record among those of its descriptor, from 1 */
	char command[COMMAND_SIZE];
};

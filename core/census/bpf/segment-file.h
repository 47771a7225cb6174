/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For BPF programs: which segment a mapped file is of, where its inode alone does not say. */
#pragma once

#include "bpf/kernel.h"

/*
 * Returns the IPC namespace of a System V segment's file; 0 for other files. The file that is
 * mapped is one that shmat(2) made, whose private data names the namespace; a file of tmpfs that
 * was opened otherwise has none, and no other file's private data agrees with its inode in all that
 * is compared.
 */
static __u32 sysv_namespace(struct file *file, struct inode *inode)
{
	struct shm_file_data *shm = BPF_CORE_READ(file, private_data);

	if (!shm || BPF_CORE_READ(shm, id) != (int)BPF_CORE_READ(inode, i_ino) ||
		BPF_CORE_READ(shm, file, f_inode) != inode)
		return 0;
	return BPF_CORE_READ(shm, ns, ns.inum);
}

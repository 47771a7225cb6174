/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For BPF programs: reads kernel memory by address, where the verifier knows of no pointer. */
#pragma once

#include "bpf/kernel.h"

/* In this kernel, whatever it is in the one that the program was compiled for. */
#define OFFSET(type, member)                                                                       \
	__builtin_preserve_field_info(((type *)0)->member, BPF_FIELD_BYTE_OFFSET)

/* Casts to a pointer that the verifier does not trust: reads through it cannot fault. */
#define plain(address, type) ((type *)bpf_rdonly_cast(address, bpf_core_type_id_kernel(type)))
#define CONTAINER(address, type, member)                                                           \
	plain((void *)((__u64)(address)-OFFSET(type, member)), type)

/*
 * Returns the 64 bits at an address; 0 if they cannot be read. As a member of a struct that begins
 * with a number, whatever is there: that takes one instruction, and to call
 * bpf_probe_read_kernel() a tenth of a microsecond.
 */
static __u64 read_word(__u64 address)
{
	return plain((void *)address, struct timespec64)->tv_sec;
}

/* Returns the file of a descriptor of the calling process, or NULL. */
static __attribute__((unused)) struct file *own_file(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	return (struct file *)read_word((__u64)(files + fd));
}

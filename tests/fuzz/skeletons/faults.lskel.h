/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of what bpftool generates: programs that bpf-faults.c runs. */
#pragma once

#include <stdint.h>

struct faults_bpf {
	struct {
		struct {
			int map_fd;
		} counts, records;
	} maps;
	struct {
		struct {
			int prog_fd;
		} see_signal;
	} progs;
	struct {
		uint32_t mount_dev;
	} * bss;
	struct {
		uint64_t page_size;
		uint32_t cpus;
	} * rodata;
};

struct faults_bpf *faults_bpf__open(void);
int faults_bpf__load(struct faults_bpf *skeleton);
int faults_bpf__see_signal__attach(struct faults_bpf *skeleton);
void faults_bpf__destroy(struct faults_bpf *skeleton);

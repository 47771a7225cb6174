/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of what bpftool generates: a program that bpf-sums.c runs. */
#pragma once

struct sums_bpf {
	struct {
		struct {
			int map_fd;
		} supers;
	} maps;
	struct {
		struct {
			int prog_fd;
		} sum_supers;
	} progs;
};

struct sums_bpf *sums_bpf__open(void);
int sums_bpf__load(struct sums_bpf *skeleton);
void sums_bpf__destroy(struct sums_bpf *skeleton);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of what bpftool generates: a program that bpf-sums.c runs. */
#pragma once

struct charged_bpf {
	struct {
		struct {
			int map_fd;
		} charges;
	} maps;
	struct {
		struct {
			int prog_fd;
		} walk_charges;
	} progs;
};

struct charged_bpf *charged_bpf__open(void);
int charged_bpf__load(struct charged_bpf *skeleton);
void charged_bpf__destroy(struct charged_bpf *skeleton);

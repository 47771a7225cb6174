/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads which segments one process maps and holds, from its directory in procfs, as rows for the
 * table of address spaces.
 */
#pragma once

#include "census/counts/devices.h"
#include "procfs/maps.h"
#include "procfs/proc.h"
#include "census/counts/spaces.h"

struct process_rows {
	const struct proc *proc;
	const struct devices *devices;
	struct spaces *spaces;
	GArray *mappings;    /* struct mapping */
	GArray *descriptors; /* struct descriptor */
	/* private to process-rows.c */
	uint32_t own_ipc; /* our IPC namespace; 0: unknown */
	int dir;          /* of the process being read */
	bool can_compare; /* descriptor tables, by kcmp(2) */
	int error;        /* in reading it, or 0 */
	int64_t ipc;      /* its IPC namespace, as keys have it; -1: not looked up yet */
};

void process_rows_init(struct process_rows *rows, const struct proc *proc,
	const struct devices *devices, struct spaces *spaces);
void process_rows_deinit(struct process_rows *rows);

/*
 * Read the mappings, or the descriptors, of the process or thread whose directory `dir` is, in
 * place of the rows from before. 0; -ESRCH if it has no address space or is gone; -EACCES or -EPERM
 * if it may not be read; -EPROTO.
 */
int process_rows_read_mappings(struct process_rows *rows, int dir,
	int (*read_maps)(int fd, const struct maps_sink *sink));
int process_rows_read_descriptors(struct process_rows *rows, int dir);

/*
 * Adds the descriptors of those threads of the process that do not share the table of `task`, which
 * was read before: threads that called unshare(CLONE_FILES). Finds none where kcmp(2) does not know
 * the threads.
 */
int process_rows_read_unshared_descriptors(struct process_rows *rows, int dir, pid_t task);

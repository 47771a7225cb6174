/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loading and running BPF programs: what every set of them needs. */
#pragma once

#include <stddef.h>

/*
 * Calls `load`, which returns 0 or a negative errno, with all signals blocked, and again while it
 * says -EAGAIN: the verifier gives up when a signal comes. `undo` takes back what a failed call
 * left.
 */
int program_load(int (*load)(void *data), void (*undo)(void *data), void *data);

/* Runs a program of type `syscall` or `raw_tp` once. 0 or a negative errno: the program did not run. */
int program_run(int program_fd, void *context, size_t size);

/* The elements of an array map, to be read and unmapped by the caller; NULL with errno set. */
const void *program_map(int map_fd, size_t size);

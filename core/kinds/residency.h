/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells how much of a segment is in memory, without mapping it or touching its pages. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Tells how many bytes of the file behind `fd` (O_PATH will do) are in memory and in swap. 0, or a
 * negative errno. Values that the kernel does not tell are left unchanged, which is no error:
 * before Linux 6.5, which added cachestat(2), and while a process has a write lease on the file. If
 * swap is empty, the file is not even opened, so that no lease is broken.
 */
int residency_of(int fd, uint64_t *resident, uint64_t *swapped);

/* Whether nothing at all is in swap now: then all that is allocated to a file is in memory. */
bool residency_swap_is_empty(void);

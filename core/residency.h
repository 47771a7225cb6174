/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much of a segment is in memory, asked without mapping it or touching its pages. */
#pragma once

#include <stdint.h>

/*
 * Bytes of the file behind `fd` (O_PATH will do) that are in memory and in swap. Values that this
 * kernel cannot tell (cachestat(2) came with Linux 6.5) are left alone, and that is no error.
 */
int residency_of(int fd, uint64_t *resident, uint64_t *swapped);

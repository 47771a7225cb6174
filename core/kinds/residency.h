/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much of a segment is in memory, asked without mapping it or touching its pages. */
#pragma once

#include <stdint.h>

/*
 * Bytes of the file behind `fd` (O_PATH will do) that are in memory and in swap. 0, or a
 * negative errno. Values that this kernel cannot tell are left alone, and that is no error: before
 * Linux 6.5, which brought cachestat(2), what is allocated is known, but not where it is; and while
 * somebody has a write lease on the file. Where nothing at all is in swap the file is not even
 * opened, and no lease broken.
 */
int residency_of(int fd, uint64_t *resident, uint64_t *swapped);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that must succeed, and fail only because the kernel is out of memory at this moment.
 *
 *	for (struct patience p = { 0 }; (r = call()) < 0 && patience_waits(&p, errno);)
 *		;
 */
#pragma once

#include <stdbool.h>

/* For how long, in milliseconds; afterwards the shortage counts as lasting. */
#define PATIENCE_MS 10000

struct patience {
	unsigned waited; /* milliseconds */
};

/*
 * Whether a call that failed with this errno is to be made again; if so, the calling thread has slept
 * for a millisecond. Keeps errno, and allocates nothing.
 */
bool patience_waits(struct patience *patience, int error);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/patience/patience.h"

#include <errno.h>
#include <time.h>

bool patience_waits(struct patience *patience, int error)
{
	int saved = errno;

	if ((error != ENOMEM && error != EAGAIN && error != ENOBUFS) ||
		patience->waited >= PATIENCE_MS)
		return false;
	patience->waited++;
	nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
	errno = saved;
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/memfd.h"

#include <errno.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int memfd_new(unsigned flags)
{
	int fd = memfd_create("shmtree", MFD_CLOEXEC | MFD_NOEXEC_SEAL | flags);

	/* Kernels before 6.3 do not know the flag. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("shmtree", MFD_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

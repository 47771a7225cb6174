/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/residency.h"

#include "base/fdpath.h"
#include "base/util.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* linux/mman.h of Linux 6.5. */
struct cachestat_range {
	uint64_t off, len; /* len 0: to the end */
};
struct cachestat {
	uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};

static int whole_is_resident(int fd, uint64_t *resident, uint64_t *swapped)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*resident = (uint64_t)st.st_blocks * 512;
	*swapped = 0;
	return 0;
}

bool residency_swap_is_empty(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 && info.totalswap == info.freeswap;
}

int residency_of(int fd, uint64_t *resident, uint64_t *swapped)
{
	struct cachestat_range all = { 0, 0 };
	uint64_t page = sysconf(_SC_PAGESIZE);
	struct cachestat counts;
	auto_fd file = -1;

	if (residency_swap_is_empty())
		return whole_is_resident(fd, resident, swapped);
	/*
	 * cachestat(2) needs the file open for reading. Opening it breaks no read lease, but would
	 * have to wait until the holder of a write lease gives that up: never wait for that.
	 */
	file = fd_reopen(fd);
	if (file < 0)
		return file == -EAGAIN ? 0 : file;
	if (syscall(SYS_cachestat, file, &all, &counts, 0) == 0) {
		/* tmpfs puts the pages that it evicts into swap. */
		*resident = counts.nr_cache * page;
		*swapped = counts.nr_evicted * page;
		return 0;
	}
	/* hugetlbfs is not supported, and never swaps. */
	if (errno == EOPNOTSUPP)
		return whole_is_resident(file, resident, swapped);
	return errno == ENOSYS ? 0 : -errno;
}

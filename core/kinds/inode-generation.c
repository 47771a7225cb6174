/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/inode-generation.h"

#include "base/fdpath.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/*
 * The file handle of a tmpfs begins with a random number that the kernel gave the inode when it
 * was made. hugetlbfs has no handles; there the time of birth tells files apart, if the kernel
 * knows it.
 */
static int read_generation(int fd, uint64_t *out)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .handle.handle_bytes = MAX_HANDLE_SZ };
	struct statx x;
	uint32_t generation;
	int mount;

	if (name_to_handle_at(fd, "", &u.handle, &mount, AT_EMPTY_PATH) == 0 &&
		u.handle.handle_bytes >= sizeof generation) {
		memcpy(&generation, u.handle.f_handle, sizeof generation);
		*out = generation;
		return 0;
	}
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) < 0)
		return -errno;
	*out = x.stx_mask & STATX_BTIME ?
		x.stx_btime.tv_sec * UINT64_C(1000000000) + x.stx_btime.tv_nsec :
		0;
	return 0;
}

int file_identify(int fd, struct item_file *out)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	/*
	 * The kernel maps a backing file at the address that was chosen for the mount's file. Huge
	 * pages need an aligned address, and hugetlbfs relies on having chosen it itself.
	 */
	out->passthrough = (unsigned)fs.f_type != HUGETLBFS_MAGIC;
	return read_generation(fd, &out->generation);
}

bool file_is_sealable(int fd)
{
	auto_fd file = fd_reopen(fd);
	int seals = file < 0 ? -1 : fcntl(file, F_GET_SEALS);

	return seals < 0 || !(seals & F_SEAL_SEAL) || seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

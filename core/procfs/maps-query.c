/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PROCMAP_QUERY, an ioctl of /proc/PID/maps since Linux 6.11. Its answers are binary, and mappings
 * without a file are passed over. A name costs the kernel a walk of directories, so that it is
 * asked for only where it is needed.
 */
#include "procfs/maps.h"

#include "base/util.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

/* The ABI, which the headers of older distributions lack. */
struct procmap_query_abi {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};

#define QUERY _IOWR('f', 17, struct procmap_query_abi)

enum { VMA_READABLE = 1, VMA_WRITABLE = 2, VMA_EXECUTABLE = 4, VMA_SHARED = 8 };
enum { COVERING_OR_NEXT = 0x10, FILE_BACKED = 0x20 };

static int query(int fd, uint64_t address, char *name, size_t size, struct vma *vma)
{
	struct procmap_query_abi q = {
		.size = sizeof(q),
		.query_flags = COVERING_OR_NEXT | FILE_BACKED,
		.query_addr = address,
		.vma_name_addr = (uintptr_t)name,
		.vma_name_size = size,
	};

	if (ioctl(fd, QUERY, &q) < 0)
		return -errno;
	*vma = (struct vma){
		.start = q.vma_start, .end = q.vma_end, .offset = q.vma_offset,
		.dev = makedev(q.dev_major, q.dev_minor), .ino = q.inode,
		.perms = {
			q.vma_flags & VMA_READABLE ? 'r' : '-',
			q.vma_flags & VMA_WRITABLE ? 'w' : '-',
			q.vma_flags & VMA_EXECUTABLE ? 'x' : '-',
			q.vma_flags & VMA_SHARED ? 's' : 'p',
		},
		.name = q.vma_name_size ? name : NULL,
	};
	return 0;
}

int maps_query_probe(int fd)
{
	struct vma vma;
	int error = query(fd, 0, NULL, 0, &vma);

	/* No further mapping, or no address space: this is an answer too. */
	return error == -ENOENT || error == -ESRCH ? 0 : error;
}

/*
 * Rows whose name is wanted come in runs: after one of them, the next row is queried with its name
 * at once, so that only the first row of a run costs a second query.
 */
int maps_query_read(int fd, const struct maps_sink *sink)
{
	char name[PATH_MAX];
	uint64_t address = 0;
	bool naming = false;
	struct vma vma;
	int error;

	for (;;) {
		enum vma_interest interest;

		error = query(fd, address, naming ? name : NULL, naming ? sizeof(name) : 0, &vma);
		/* No name on the devices whose names are needed is this long: do without. */
		if (error == -ENAMETOOLONG)
			error = query(fd, address, NULL, 0, &vma);
		else if (!error && !naming && sink->look(&vma, sink->data) == VMA_NAMED) {
			naming = true;
			continue;
		}
		if (error)
			break;
		interest = sink->look(&vma, sink->data);
		if (interest != VMA_SKIP)
			sink->row(&vma, sink->data);
		naming = interest == VMA_NAMED;
		address = vma.end;
	}
	return error == -ENOENT ? 0 : error;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a System V segment.
 *
 * /proc/PID/map_files of a process that has a segment attached leads to the file behind the
 * segment. Using another process's entry would change nothing, but it may be a segment of the same
 * number that the process attached in another IPC namespace before it moved. Only what this thread
 * itself attaches by the ID is certainly that segment. While it is attached, the ID cannot become
 * another segment's, so that IPC_STAT tells about exactly these bytes.
 */
#include "kinds/inode-generation.h"
#include "kinds/sysv.h"
#include "base/util.h"
#include "procfs/maps.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

struct opening {
	const struct realm *realm;
	const struct item *seen;
	struct item_file *out;
};

/* The mapping of ours that is looked for. */
struct own_mapping {
	uintptr_t start, end; /* `end` 0: it was not found */
};

static enum vma_interest find_mapping(const struct vma *vma, void *data)
{
	struct own_mapping *wanted = data;

	if (vma->start == wanted->start)
		wanted->end = vma->end;
	return VMA_SKIP;
}

/* Finds the end of our mapping that starts there: huge pages make it longer than the segment. */
static int mapping_end(uintptr_t start, uintptr_t *out)
{
	struct own_mapping wanted = { .start = start };
	const struct maps_sink sink = { .look = find_mapping, .data = &wanted };
	auto_fd maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int r = maps < 0 ? -errno : maps_text_read(maps, &sink);

	*out = wanted.end;
	return r < 0 ? r : wanted.end ? 0 : -EIO;
}

static int open_attached(const struct opening *opening, const void *address)
{
	uintptr_t start = (uintptr_t)address, end;
	char path[64];
	struct sysv_segment now;
	struct shmid_ds ds;
	auto_fd fd = -1;
	int id = (int)opening->seen->key.ino, r = mapping_end(start, &end);

	if (r < 0)
		return r;
	snprintf(path, sizeof path, "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR, start, end);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (shmctl(id, IPC_STAT, &ds) < 0)
		return sysvipc_error(errno);
	sysv_from_ds(opening->realm, id, &ds, &now);
	if (!item_same(&now.ipc.item, opening->seen) ||
		!item_same_access(&now.ipc.item, opening->seen))
		return -ESTALE;
	r = file_identify(fd, opening->out);
	if (r == 0)
		opening->out->fd = steal_fd(&fd);
	return r;
}

/*
 * Whether attaching and detaching leaves the segment as it is: 0 or -EBUSY. Where the kernel
 * destroys a segment with its last attachment (kernel.shm_rmid_forced), ours would destroy one that
 * no process has attached yet. One that other processes have attached ends with the last of them,
 * as without us.
 */
static int check_harmless(int id)
{
	struct shmid_ds ds;
	g_autofree char *forced = NULL;

	if (shmctl(id, IPC_STAT, &ds) < 0)
		return sysvipc_error(errno);
	if (ds.shm_nattch > 0 ||
		!g_file_get_contents("/proc/sys/kernel/shm_rmid_forced", &forced, NULL, NULL))
		return 0;
	return *forced == '0' ? 0 : -EBUSY;
}

static int attach_and_open(void *data)
{
	const struct opening *opening = data;
	int id = (int)opening->seen->key.ino, r = check_harmless(id);
	void *address;

	if (r < 0)
		return r;
	address = shmat(id, NULL, SHM_RDONLY);
	if (address == (void *)-1)
		return sysvipc_error(errno);
	r = open_attached(opening, address);
	if (shmdt(address) < 0)
		g_error("shmdt: %s", g_strerror(errno)); /* cannot fail for an address of shmat() */
	return r;
}

int sysv_open(const struct realm *realm, const struct item *seen, struct item_file *out)
{
	struct opening opening = { realm, seen, out };

	return sysvipc_enter(realm, attach_and_open, &opening);
}

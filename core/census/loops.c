/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/loops.h"

#include "base/util.h"
#include "procfs/mountinfo.h"

#include <fcntl.h>
#include <glib.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define BLOCK_DEVICES "/sys/block"

struct search {
	const char *name;
	size_t length; /* of the longest mount point that the name begins with */
	bool memory;   /* what is mounted there is memory */
};

static void look_at_mount(const char *point, const struct mount *mount, void *data)
{
	struct search *search = data;
	size_t length = g_str_equal(point, "/") ? 0 : strlen(point);

	/* The later of two at one place is on top. */
	if (length < search->length || strncmp(search->name, point, length) != 0 ||
		search->name[length] != '/')
		return;
	search->length = length;
	search->memory =
		g_str_equal(mount->fstype, "tmpfs") || g_str_equal(mount->fstype, "hugetlbfs");
}

bool loops_may_back(const char *name, const char *mountinfo)
{
	struct search search = { .name = name };

	if (g_str_has_prefix(name, "/memfd:") || g_str_has_prefix(name, "/SYSV") ||
		g_str_has_prefix(name, "/dev/zero (deleted)"))
		return true;
	mountinfo_each(mountinfo, look_at_mount, &search);
	return search.memory;
}

static bool ask(unsigned number, struct loop_device *out)
{
	g_autofree char *path = g_strdup_printf("/dev/loop%u", number);
	auto_fd fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct loop_info64 info;

	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0 || info.lo_number != number)
		return false;
	/* As the kernel tells device numbers to programs of 64 bits. */
	*out = (struct loop_device){
		.number = number,
		.dev = makedev(info.lo_device >> 8 & 0xfff,
			(info.lo_device & 0xff) | (info.lo_device >> 12 & 0xfff00)),
		.ino = info.lo_inode,
		.read_only = info.lo_flags & LO_FLAGS_READ_ONLY,
	};
	return true;
}

static bool is_swap(const char *swaps, unsigned number)
{
	g_autofree char *line = g_strdup_printf("\n/dev/loop%u ", number);

	return swaps && strstr(swaps, line);
}

/* Only a device that has a backing file has that entry. */
static char *backing_name(const char *device)
{
	g_autofree char *path = g_build_filename(BLOCK_DEVICES, device, "loop/backing_file", NULL);
	char *name = NULL;

	if (g_file_get_contents(path, &name, NULL, NULL))
		name[strcspn(name, "\n")] = 0;
	return name;
}

void loops_each(const char *proc, void (*visit)(const struct loop_device *loop, void *data),
	void *data)
{
	g_autofree char *swaps_path = g_build_filename(proc, "swaps", NULL);
	g_autofree char *mounts = NULL, *swaps = NULL;
	g_autoptr(GDir) dir = g_dir_open(BLOCK_DEVICES, 0, NULL);
	struct loop_device loop;
	const char *device;
	unsigned number;

	while (dir && (device = g_dir_read_name(dir))) {
		g_autofree char *name = NULL;

		if (sscanf(device, "loop%u", &number) != 1)
			continue;
		name = backing_name(device);
		if (!name)
			continue;
		if (!mounts && !g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL))
			return;
		if (!loops_may_back(name, mounts) || !ask(number, &loop))
			continue;
		if (!swaps)
			g_file_get_contents(swaps_path, &swaps, NULL, NULL);
		loop.swap = is_swap(swaps, number);
		visit(&loop, data);
	}
}

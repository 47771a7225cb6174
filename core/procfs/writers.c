/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/writers.h"

#include "base/util.h"
#include "procfs/proc.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static bool is_file(int dir, int number, uint64_t dev, uint64_t ino)
{
	char name[32];
	struct statx x;

	snprintf(name, sizeof name, "fd/%d", number);
	auto_fd fd = openat(dir, name, O_PATH | O_CLOEXEC);
	return fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &x) == 0 &&
		x.stx_ino == ino && makedev(x.stx_dev_major, x.stx_dev_minor) == dev;
}

static bool is_for_writing(int dir, int number)
{
	char name[32], text[1024], *flags;
	int mode;

	snprintf(name, sizeof name, "fdinfo/%d", number);
	if (proc_read_file(dir, name, text, sizeof text) <= 0)
		return false;
	flags = strstr(text, "flags:");
	mode = flags ? strtol(flags + strlen("flags:"), NULL, 8) : O_PATH;
	return !(mode & O_PATH) && (mode & O_ACCMODE) != O_RDONLY;
}

bool process_can_write(const char *proc, pid_t pid, uint64_t dev, uint64_t ino)
{
	g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(int));
	g_autofree char *path = g_strdup_printf("%s/%d", proc, pid);
	bool found = false;

	auto_fd dir = pid > 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir < 0 || proc_list_descriptors(dir, numbers) < 0)
		return false;
	for (guint i = 0; i < numbers->len && !found; i++) {
		int number = g_array_index(numbers, int, i);

		found = is_file(dir, number, dev, ino) && is_for_writing(dir, number);
	}
	return found;
}

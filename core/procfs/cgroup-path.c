/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/cgroup-path.h"

#include "base/fdpath.h"
#include "base/util.h"

#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define FILEID_KERNFS 0xfe /* linux/exportfs.h: eight bytes, the number of the node */

/* Of version 2, the first would be a group called "memory", and not the root of all. */
static const struct {
	const char *path;
	long type;
} places[] = {
	{ "/sys/fs/cgroup/memory", CGROUP_SUPER_MAGIC },
	{ "/sys/fs/cgroup", CGROUP2_SUPER_MAGIC },
	{ "/sys/fs/cgroup/unified", CGROUP2_SUPER_MAGIC },
};

/* The directory where the hierarchy that accounts for memory is mounted; -ENOENT: there is none. */
static int open_hierarchy(const char **place)
{
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		auto_fd fd = open(places[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct statfs st;

		if (fd < 0 || fstatfs(fd, &st) < 0) {
			if (is_failure(-errno))
				return -errno;
			continue;
		}
		if (st.f_type != places[i].type)
			continue;
		*place = places[i].path;
		return steal_fd(&fd);
	}
	return -ENOENT;
}

static int failed(int error)
{
	return is_failure(error) ? error : 0;
}

int cgroup_path_of(uint64_t ino, char **out)
{
	union {
		struct file_handle handle;
		char bytes[sizeof(struct file_handle) + sizeof ino];
	} node = { .handle = { .handle_bytes = sizeof ino, .handle_type = FILEID_KERNFS } };
	char path[PATH_MAX];
	const char *place;
	struct stat st;
	ssize_t n;

	auto_fd mount = open_hierarchy(&place);
	*out = NULL;
	if (mount < 0)
		return failed(mount);
	memcpy(node.handle.f_handle, &ino, sizeof ino);
	auto_fd fd = open_by_handle_at(mount, &node.handle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed(-errno);
	if (st.st_ino != ino || st.st_nlink == 0)
		return 0;
	n = readlink(fd_path(fd).text, path, sizeof path - 1);
	if (n < 0)
		return failed(-errno);
	path[n] = '\0';
	if (n >= (ssize_t)strlen(place) && strncmp(path, place, strlen(place)) == 0 &&
		!g_str_has_suffix(path, " (deleted)"))
		*out = g_strdup(path[strlen(place)] ? path + strlen(place) : "/");
	return 0;
}

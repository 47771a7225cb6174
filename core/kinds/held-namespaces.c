/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/held-namespaces.h"

#include "base/fdpath.h"
#include "base/file-text.h"
#include "base/util.h"
#include "procfs/cached-path.h"
#include "procfs/mountinfo.h"
#include "procfs/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The inode number in what procfs calls the namespace; 0 if the text names something else. */
static uint32_t number_of(const char *text)
{
	unsigned number;
	int end = 0;

	return sscanf(text, "ipc:[%u]%n", &number, &end) == 1 && end && !text[end] ? number : 0;
}

static uint32_t mounted(const struct mount *mount)
{
	return strcmp(mount->fstype, "nsfs") == 0 ? number_of(mount->root) : 0;
}

struct listing {
	void (*visit)(uint32_t id, void *data);
	void *data;
};

static void list_mount(const char *point, const struct mount *mount, void *data)
{
	const struct listing *listing = data;
	uint32_t id = mounted(mount);

	(void)point;
	if (id)
		listing->visit(id, listing->data);
}

void held_each_mounted(const char *mountinfo, void (*visit)(uint32_t id, void *data), void *data)
{
	struct listing listing = { visit, data };

	mountinfo_each(mountinfo, list_mount, &listing);
}

uint32_t held_number(int dir, int fd)
{
	char name[32], text[64];
	ssize_t n;

	snprintf(name, sizeof name, "fd/%d", fd);
	n = readlinkat(dir, name, text, sizeof text - 1);
	text[MAX(n, 0)] = 0;
	return number_of(text);
}

void held_each_descriptor(int dir, void (*visit)(uint32_t id, int fd, void *data), void *data)
{
	g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(int));

	/* A process that cannot be read is counted where its own namespace is read. */
	(void)proc_list_descriptors(dir, numbers);
	for (guint i = 0; i < numbers->len; i++) {
		int fd = g_array_index(numbers, int, i);
		uint32_t id = held_number(dir, fd);

		if (id)
			visit(id, fd, data);
	}
}

/*
 * Opens for reading what `place` (O_PATH) is, if it is that namespace: of any other file, opening
 * might wait, and so might asking for its attributes.
 */
static int open_namespace(int place, uint32_t id)
{
	struct statx stx, ours;
	int fd;

	if (place < 0)
		return place;
	if (statx(place, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx) < 0 ||
		statx(AT_FDCWD, "/proc/self/ns/ipc", AT_STATX_DONT_SYNC, STATX_INO, &ours) < 0 ||
		stx.stx_ino != id || stx.stx_dev_major != ours.stx_dev_major ||
		stx.stx_dev_minor != ours.stx_dev_minor)
		return -ENOENT;
	fd = open(fd_path(place).text, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

struct search {
	uint32_t id;
	int root, found;
};

static void open_mount(const char *point, const struct mount *mount, void *data)
{
	struct search *search = data;

	if (search->found >= 0 || mounted(mount) != search->id)
		return;
	auto_fd place = cached_path_open(search->root, point, O_PATH);
	search->found = open_namespace(place, search->id);
}

int held_open_mounted(int dir, uint32_t id)
{
	g_autofree char *path = g_strconcat(fd_path(dir).text, "/mountinfo", NULL);
	g_autofree char *text = NULL;
	auto_fd root = openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct search search = { id, root, -ENOENT };

	int r = root < 0 ? -errno : file_text(path, &text);

	if (r < 0)
		return r;
	mountinfo_each(text, open_mount, &search);
	return search.found;
}

int held_open_descriptor(int dir, int fd, uint32_t id)
{
	char name[32];

	snprintf(name, sizeof name, "fd/%d", fd);
	auto_fd place = openat(dir, name, O_PATH | O_CLOEXEC);
	return place < 0 ? -errno : open_namespace(place, id);
}

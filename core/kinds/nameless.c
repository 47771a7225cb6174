/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/nameless.h"

#include "base/fdpath.h"
#include "base/memfd.h"
#include "base/util.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct search {
	const struct realm *realm;
	const struct segment_key *key;
	nameless_judge judge;
	void *data;
	int found; /* -1: not yet */
	bool over; /* found, or not to be found */
};

/*
 * Device and inode number alone, as far as they are known without asking the file system: the
 * descriptor may be one of the daemon's own mount.
 */
static bool identify(int fd, uint64_t *dev, uint64_t *ino)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &x) < 0)
		return false;
	*dev = makedev(x.stx_dev_major, x.stx_dev_minor);
	*ino = x.stx_ino;
	return true;
}

static bool file_name(int fd, char name[FILE_NAME_SIZE])
{
	ssize_t length = readlink(fd_path(fd).text, name, FILE_NAME_SIZE - 1);

	if (length < 0)
		return false;
	name[length] = 0;
	return true;
}

static bool is_segment(const struct search *search, int fd, char name[FILE_NAME_SIZE])
{
	const struct segment_key *key = search->key;
	uint64_t dev, ino;

	if (!identify(fd, &dev, &ino) || ino != key->ino || dev == search->realm->mount_dev ||
		!file_name(fd, name))
		return false;
	if (key->class == SEGMENT_FILE)
		return dev == key->dev;
	/* The device of a System V segment with huge pages is not the one in its key. */
	return (dev == key->dev || key->class == SEGMENT_SYSV) &&
		segment_class_of_name(name) == key->class;
}

/*
 * Opens the path and judges it, unless the search is over: the visitors below are called for the
 * rest of the rows too.
 */
static void try_path(struct search *search, const char *path)
{
	char name[FILE_NAME_SIZE];
	enum nameless_verdict verdict;
	auto_fd fd = -1;

	if (search->over)
		return;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || !is_segment(search, fd, name))
		return;
	verdict = search->judge ? search->judge(fd, name, search->data) : NAMELESS_ACCEPT;
	if (verdict == NAMELESS_ACCEPT)
		search->found = steal_fd(&fd);
	search->over = verdict != NAMELESS_NEXT;
}

static void try_mapping(const struct mapping_row *row, void *data)
{
	struct search *search = data;
	char path[256];

	snprintf(path, sizeof path, "%s/%d/map_files/%" PRIx64 "-%" PRIx64, search->realm->proc,
		row->task, row->start, row->end);
	try_path(search, path);
}

static void try_descriptor(const struct descriptor_row *row, void *data)
{
	struct search *search = data;
	char path[256];

	snprintf(path, sizeof path, "%s/%d/fd/%d", search->realm->proc, row->task, row->fd);
	try_path(search, path);
}

/* Tries the one user that the census gives first, which is enough in the usual case. */
static void try_first(struct search *search)
{
	struct segment_user user;
	char path[256];

	if (!census_segment_user(search->realm->census, search->key, &user))
		return;
	if (user.end)
		snprintf(path, sizeof path, "%s/%d/map_files/%" PRIx64 "-%" PRIx64,
			search->realm->proc, user.task, user.start, user.end);
	else
		snprintf(path, sizeof path, "%s/%d/fd/%d", search->realm->proc, user.task, user.fd);
	try_path(search, path);
}

static void try_own(struct search *search)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	char path[300];

	while (dir && !search->over && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
		try_path(search, path);
	}
	if (dir)
		closedir(dir);
}

int nameless_open(const struct realm *realm, const struct segment_key *key, nameless_judge judge,
	void *data)
{
	struct search search = { realm, key, judge, data, -1, false };

	try_first(&search);
	if (!search.over)
		census_each_mapping(realm->census, key, try_mapping, &search);
	if (!search.over)
		census_each_descriptor(realm->census, key, try_descriptor, &search);
	if (!search.over)
		try_own(&search);
	return search.found >= 0 ? search.found : -ENOENT;
}

/* As mm/shmem.c has it: the generation, and the inode number in two halves. */
#define SHMEM_HANDLE_TYPE 1
struct shmem_handle {
	uint32_t generation, ino_low, ino_high;
};

/* A descriptor on the file system of that segment: a directory, or a memfd. */
static int open_same_mount(const struct realm *realm, const struct segment_key *key)
{
	int fd;

	if (key->class == SEGMENT_FILE)
		return fcntl(realm->shm_fd, F_DUPFD_CLOEXEC, 0);
	fd = key->dev == realm->internal_dev ? memfd_new(0) : -1;
	return fd;
}

int nameless_open_by_handle(const struct realm *realm, const struct segment_key *key,
	uint64_t generation)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + sizeof(struct shmem_handle)];
	} u = { .handle = { sizeof(struct shmem_handle), SHMEM_HANDLE_TYPE } };
	struct shmem_handle shmem = { generation, key->ino, key->ino >> 32 };
	uint64_t dev, ino;

	auto_fd mount = open_same_mount(realm, key);
	if (mount < 0)
		return -ENXIO;
	memcpy(u.handle.f_handle, &shmem, sizeof shmem);
	auto_fd fd = open_by_handle_at(mount, &u.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return identify(fd, &dev, &ino) && dev == key->dev && ino == key->ino ? steal_fd(&fd) :
										-ESTALE;
}

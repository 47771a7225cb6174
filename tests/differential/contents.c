/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The comparison at the end of a sequence: all that the directories hold. */
#include "compare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHUNK 65536

static bool differ(struct difference *d, const char *what, const char *name, const char *where)
{
	snprintf(d->kind, sizeof(d->kind), "at the end: %s %s", what, where);
	snprintf(d->text, sizeof(d->text), "at the end: %s of \"%.40s\" differ %s", what, name,
		where);
	return true;
}

/* Whether the other file has the same bytes wherever this one has data; sparse parts are skipped. */
static bool same_data(int fd, int other)
{
	static char a[CHUNK], b[CHUNK];
	off_t at = 0, end;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		while (at < end) {
			size_t want = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
			ssize_t n = pread(fd, a, want, at);

			if (n <= 0 || pread(other, b, (size_t)n, at) != n ||
				memcmp(a, b, (size_t)n))
				return false;
			at += n;
		}
	}
	return errno == ENXIO;
}

static bool same_xattrs(int fd, int other)
{
	static char names[CHUNK], mine[CHUNK], theirs[CHUNK];
	ssize_t n = flistxattr(fd, names, sizeof(names));

	if (n != flistxattr(other, theirs, sizeof(theirs)))
		return false;
	for (char *p = names; p < names + n; p += strlen(p) + 1) {
		ssize_t size = fgetxattr(fd, p, mine, sizeof(mine));

		/* A value can be there and yet not be given out: a malformed capability. */
		if (fgetxattr(other, p, theirs, sizeof(theirs)) != size ||
			(size > 0 && memcmp(mine, theirs, (size_t)size) != 0))
			return false;
	}
	return true;
}

static bool compare_file(const struct view *native, const struct view *mount, const char *name,
	struct difference *d)
{
	const int flags = O_RDONLY | O_NOATIME | O_CLOEXEC;
	int a = openat(native->dir, name, flags), b = openat(mount->dir, name, flags);
	bool different = false;

	if ((a < 0) != (b < 0))
		different = differ(d, "possibilities to open", name, mount->label);
	else if (a >= 0 && !same_xattrs(a, b))
		different = differ(d, "extended attributes", name, mount->label);
	else if (a >= 0 && strcmp(name, ".") != 0 && !(same_data(a, b) && same_data(b, a)))
		different = differ(d, "bytes", name, mount->label);
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return different;
}

static int count_entries(const struct view *view)
{
	DIR *list = fdopendir(openat(view->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	int count = 0;

	if (!list)
		return -1;
	while ((entry = readdir(list)))
		count += strcmp(entry->d_name, ".shmtree") != 0;
	closedir(list);
	return count;
}

static bool compare_directory(const struct view *native, const struct view *mount,
	struct difference *d)
{
	if (count_entries(native) != count_entries(mount))
		return differ(d, "entries", ".", mount->label);
	for (unsigned i = 0; i < name_count(); i++) {
		if (compare_file(native, mount, name_at(i), d))
			return true;
	}
	return false;
}

bool compare_contents(struct world *w, struct difference *d)
{
	return compare_directory(&w->native_view, &w->behind_view, d) ||
		compare_directory(&w->native_view, &w->mount_view, d);
}

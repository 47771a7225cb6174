/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/posix.h"

#include "kinds/charged.h"
#include "kinds/inode-generation.h"
#include "kinds/last-user.h"
#include "kinds/lease.h"
#include "kinds/posix-removal.h"
#include "kinds/posix-semaphore.h"
#include "kinds/residency.h"
#include "base/below.h"
#include "base/util.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool is_object_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
		strcmp(name, POSIX_RESERVED_NAME) != 0 && !posix_is_hidden(name);
}

void posix_make_item(const char *name, const struct stat *st, struct item *out)
{
	*out = (struct item){
		.kind = &kind_posix,
		.label = segment_class_name(SEGMENT_FILE),
		.segment = true,
		.key = { .dev = st->st_dev, .ino = st->st_ino, .class = SEGMENT_FILE },
	};
	item_set_stat(out, st);
	g_strlcpy(out->id, name, sizeof out->id);
	g_strlcpy(out->name, name, sizeof out->name);
}

/* -ENOENT for what is no object: another type of file, or the reserved name. */
static int fill_item(const struct realm *realm, const char *name, struct item *out)
{
	struct stat st;
	int r;

	if (!is_object_name(name) || strlen(name) > NAME_MAX)
		return -ENOENT;
	r = stat_below(realm->shm_fd, name, realm->shm_dev, &st);
	if (r < 0)
		return r == -EXDEV ? -ENOENT : r;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	posix_make_item(name, &st, out);
	return 0;
}

static int posix_each(const struct realm *realm, item_visitor visit, void *data)
{
	/* A descriptor of its own: the position in the directory belongs to the open file. */
	int fd = openat(realm->shm_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct item item;
	int r = 0;

	if (!dir) {
		r = -errno;
		closep(&fd);
		return r;
	}
	for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0) {
		r = fill_item(realm, entry->d_name, &item);
		if (r == 0)
			visit(&item, data);
		else if (!is_failure(r))
			r = 0; /* it is no object, or not any more */
	}
	if (r == 0)
		r = -errno;
	closedir(dir);
	return r;
}

static int posix_stat(const struct realm *realm, const char *id, struct item **out)
{
	struct item item;
	int r = fill_item(realm, id, &item);

	if (r == 0)
		*out = g_memdup2(&item, sizeof item);
	return r;
}

/* Of another realm's objects, which have no file in the root of the mount. */
static int posix_open(const struct realm *realm, const struct item *seen, struct item_file *out)
{
	struct item now;
	struct stat st;
	int r;

	auto_fd fd = open_below(realm->shm_fd, seen->id, O_PATH);
	if (fd < 0)
		return fd == -ELOOP || fd == -EXDEV ? -ESTALE : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	posix_make_item(seen->id, &st, &now);
	if (!S_ISREG(st.st_mode) || !item_same(&now, seen) || !item_same_access(&now, seen))
		return -ESTALE;
	r = file_identify(fd, out);
	if (r == 0)
		out->fd = steal_fd(&fd);
	return r;
}

static int posix_residency(const struct realm *realm, struct item *item)
{
	struct stat st;

	auto_fd fd = open_below(realm->shm_fd, item->name, O_PATH);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != item->key.ino || !S_ISREG(st.st_mode))
		return -ESTALE;
	return residency_of(fd, &item->resident, &item->swapped);
}

static int posix_look(const struct realm *realm, const struct item *item, bool wait,
	struct object_now *out)
{
	int r;

	auto_fd fd = open_below(realm->shm_fd, item->id, O_PATH);
	if (fd < 0)
		return fd;
	r = census_look(realm->census, fd, wait, out);
	return r == 0 && out->ino != item->key.ino ? -ESTALE : r;
}

static int posix_is_free(const struct realm *realm, const struct item *item)
{
	return lease_proves_free(realm->shm_fd, item->id);
}

static int posix_remove(const struct realm *realm, const char *id, const struct caller *caller)
{
	struct item item;
	int r = fill_item(realm, id, &item);

	return r < 0 ? r : posix_remove_idle(realm->shm_fd, id, caller);
}

static bool posix_present(const struct realm *realm)
{
	return realm->shm_fd >= 0;
}

static const struct attribute *const tables[] = { segment_attributes, last_user_attributes,
	charged_attributes, semaphore_attributes, NULL };

const struct kind kind_posix = {
	.directory = "posix",
	.item_size = sizeof(struct item),
	.data = DATA_LINK,
	.attributes = tables,
	.present = posix_present,
	.listed_alone = true,
	.each = posix_each,
	.stat = posix_stat,
	.open = posix_open,
	.residency = posix_residency,
	.look = posix_look,
	.is_free = posix_is_free,
	.remove = posix_remove,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/nested.h"

#include "base/below.h"
#include "base/format.h"
#include "base/util.h"
#include "caller/fsuid.h"
#include "kinds/attribute.h"
#include "kinds/charged.h"
#include "kinds/inode-generation.h"
#include "kinds/last-user.h"
#include "kinds/residency.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define DEPTH_MAX 32

/* A walk over all directories; where `ino` is set, for the file of that number alone. */
struct walk {
	uint64_t ino;
	GHashTable *in_root; /* inode numbers of what has a name in the root; NULL: not read yet */
	int root;
	GString *path; /* of the directory or file that is looked at, without a slash before it */
	size_t open;   /* length of the part of it that everyone may list */
	bool closed;   /* the path goes on in a directory that not everyone may list: */
	struct stat door; /* that directory; of several, the first */
	const struct caller
		*viewer; /* what this caller could not find is left out; NULL: nothing is */
	int lists; /* whether the viewer could list all directories of the path; -1: not asked yet */
	int error; /* a lack of descriptors or memory, or of a listing, which ends the walk */
	/* Returns true to end the walk. */
	bool (*visit)(const struct walk *walk, int fd, const struct stat *st, void *data);
	void *data;
};

/*
 * Whether the walk ends here: if memory or descriptors are lacking, what could not be opened is not
 * known.
 */
static bool lacks(struct walk *walk, int error)
{
	if (is_failure(error))
		walk->error = error;
	return walk->error < 0;
}

/* An ACL may deny it to some, whatever the mode says. */
static bool everyone_lists(int fd, const struct stat *st)
{
	const mode_t all = S_IRUSR | S_IXUSR | S_IRGRP | S_IXGRP | S_IROTH | S_IXOTH;

	return (st->st_mode & all) == all && fgetxattr(fd, "system.posix_acl_access", NULL, 0) <= 0;
}

static bool can_open(const struct walk *walk, const char *path, uint64_t flags)
{
	auto_fd fd = open_below(walk->root, path, flags);

	return fd >= 0;
}

/* Whether the thread, which acts as the viewer, can list each directory on the path of a file. */
static bool can_list(const struct walk *walk)
{
	size_t length = strrchr(walk->path->str, '/') - walk->path->str;
	g_autofree char *last = g_strdup_printf("%.*s/.", (int)length, walk->path->str);

	for (size_t at = 0; at <= length; at++) {
		g_autofree char *path = g_strdup_printf("./%.*s", (int)at, walk->path->str);

		if ((at == 0 || walk->path->str[at] == '/') &&
			!can_open(walk, path, O_RDONLY | O_DIRECTORY))
			return false;
	}
	return can_open(walk, last, O_PATH);
}

/* Of a file of their own users know more than that directory tells, as far as they can open it. */
static bool viewer_sees(struct walk *walk, const struct stat *st)
{
	struct fsuid id;
	bool sees;

	if (!walk->viewer || !walk->closed)
		return true;
	if (walk->lists > 0 || (walk->lists == 0 && st->st_uid != walk->viewer->uid))
		return walk->lists;
	fsuid_begin(&id, walk->viewer);
	fsuid_take_groups(&id);
	if (walk->lists < 0)
		walk->lists = can_list(walk);
	sees = walk->lists ||
		(st->st_uid == walk->viewer->uid && can_open(walk, walk->path->str, O_PATH));
	fsuid_end(&id);
	return sees;
}

/* NULL at the end, or with `error` set. */
static const struct dirent *next_entry(struct walk *walk, DIR *dir)
{
	const struct dirent *entry;

	errno = 0;
	entry = readdir(dir);
	if (!entry && errno)
		walk->error = -errno;
	return entry;
}

/* Without all of it a file would be taken for nested that is an object: then the walk ends. */
static void read_root(struct walk *walk)
{
	int fd = openat(walk->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	walk->in_root = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	if (!dir)
		walk->error = -errno;
	while (dir && (entry = next_entry(walk, dir))) {
		gint64 ino = (gint64)entry->d_ino;

		g_hash_table_add(walk->in_root, g_memdup2(&ino, sizeof ino));
	}
	if (dir)
		closedir(dir);
	else
		closep(&fd);
}

static bool has_root_name(struct walk *walk, const struct stat *st)
{
	gint64 ino = (gint64)st->st_ino;

	if (st->st_nlink < 2)
		return false;
	if (!walk->in_root)
		read_root(walk);
	return g_hash_table_contains(walk->in_root, &ino);
}

static bool visit_file(struct walk *walk, int dir, const struct dirent *entry)
{
	auto_fd fd = -1;
	struct stat st;

	if (walk->ino && entry->d_ino != walk->ino)
		return false;
	fd = open_below(dir, entry->d_name, O_PATH);
	if (fd < 0)
		return lacks(walk, fd);
	if (fstat(fd, &st) < 0)
		return lacks(walk, -errno);
	if (!S_ISREG(st.st_mode) || has_root_name(walk, &st) || !viewer_sees(walk, &st))
		return walk->error < 0;
	return walk->error < 0 || walk->visit(walk, fd, &st, walk->data);
}

static bool walk_directory(struct walk *walk, int fd, unsigned depth);

static void close_door(struct walk *walk, int fd, const struct stat *st)
{
	if (walk->closed || everyone_lists(fd, st))
		return;
	walk->closed = true;
	walk->door = *st;
}

static bool visit_directory(struct walk *walk, int dir, const char *name, unsigned depth)
{
	size_t open_before = walk->open;
	bool closed_before = walk->closed, ended;
	int lists_before = walk->lists;
	struct stat st;
	int fd = depth == DEPTH_MAX ? -ELOOP : open_below(dir, name, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return lacks(walk, fd);
	if (fstat(fd, &st) < 0) {
		int error = -errno;

		close(fd);
		return lacks(walk, error);
	}
	if (!walk->closed)
		walk->open = walk->path->len;
	close_door(walk, fd, &st);
	walk->lists = -1;
	ended = walk_directory(walk, fd, depth + 1);
	walk->open = open_before;
	walk->closed = closed_before;
	walk->lists = lists_before;
	return ended;
}

/* Closes `fd`. */
static bool walk_directory(struct walk *walk, int fd, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	size_t length = walk->path->len;
	const struct dirent *entry;
	bool ended = false;

	if (!dir) {
		closep(&fd);
		return lacks(walk, -errno);
	}
	while (!ended && (entry = next_entry(walk, dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		g_string_append_printf(walk->path, "%s%s", length ? "/" : "", entry->d_name);
		if (entry->d_type == DT_DIR)
			ended = visit_directory(walk, dirfd(dir), entry->d_name, depth);
		else if (entry->d_type == DT_REG && depth > 0)
			ended = visit_file(walk, dirfd(dir), entry);
		g_string_truncate(walk->path, length);
	}
	closedir(dir);
	return ended || walk->error < 0;
}

/*
 * Whether there are no directories at all, so that 100,000 objects need not be listed to find none:
 * in a tmpfs each adds to the links of the one that it is in.
 */
static bool is_flat(int dir, const struct stat *st)
{
	struct statfs fs;

	return st->st_nlink == 2 && fstatfs(dir, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static int walk_all(const struct realm *realm, struct walk *walk)
{
	int fd = openat(realm->shm_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		closep(&fd);
		return -errno;
	}
	if (is_flat(fd, &st)) {
		close(fd);
		return 0;
	}
	walk->root = realm->shm_fd;
	walk->path = g_string_new(NULL);
	close_door(walk, fd, &st);
	walk_directory(walk, fd, 0);
	g_string_free(walk->path, TRUE);
	if (walk->in_root)
		g_hash_table_unref(walk->in_root);
	return walk->error;
}

static void make_item(const struct walk *walk, const struct stat *st, struct item *out)
{
	g_autofree char *name = walk->closed ?
		g_strdup_printf("%.*s/", (int)walk->open, walk->path->str) :
		g_strdup(walk->path->str);

	*out = (struct item){
		.kind = &kind_nested,
		.label = "nested",
		.segment = true,
		.key = { .dev = st->st_dev, .ino = st->st_ino, .class = SEGMENT_FILE },
	};
	item_set_stat(out, st);
	out->closed = walk->closed;
	out->owner = st->st_uid;
	snprintf(out->id, sizeof out->id, "%" PRIu64, (uint64_t)st->st_ino);
	g_strlcpy(out->name, name, sizeof out->name);
}

/* What everyone may know of a file that is closed. */
static void hide(const struct walk *walk, struct item *item)
{
	item->mode = walk->door.st_mode & 0777;
	item->uid = walk->door.st_uid;
	item->gid = walk->door.st_gid;
	item->atime = walk->door.st_atim;
	item->mtime = walk->door.st_mtim;
	item->ctime = walk->door.st_ctim;
}

struct visiting {
	item_visitor visit;
	void *data;
	GHashTable *seen; /* keys of the files with several names that were visited */
};

static bool visit_each(const struct walk *walk, int fd, const struct stat *st, void *data)
{
	const struct visiting *visiting = data;
	struct item item;

	make_item(walk, st, &item);
	if (st->st_nlink > 1 &&
		!g_hash_table_add(visiting->seen, g_memdup2(&item.key, sizeof item.key)))
		return false;
	/* Here, where the file is at hand: nested_residency() has to look for it. */
	residency_of(fd, &item.resident, &item.swapped);
	if (item.closed && !walk->viewer)
		hide(walk, &item);
	visiting->visit(&item, visiting->data);
	return false;
}

static int nested_each(const struct realm *realm, item_visitor visit, void *data)
{
	g_autoptr(GHashTable) seen =
		g_hash_table_new_full(segment_key_hash, segment_key_equal, g_free, NULL);
	struct visiting visiting = { visit, data, seen };
	struct walk walk = { .viewer = realm->viewer, .visit = visit_each, .data = &visiting };

	return walk_all(realm, &walk);
}

/* The one that was looked for. */
struct found {
	int fd; /* O_PATH; negative: there is none, or the errno of dup(2) */
	char *path;
	struct item item;
};

static void found_clear(struct found *found)
{
	closep(&found->fd);
	g_free(found->path);
}
#define auto_found __attribute__((cleanup(found_clear))) struct found

static bool visit_found(const struct walk *walk, int fd, const struct stat *st, void *data)
{
	struct found *found = data;

	make_item(walk, st, &found->item);
	found->path = g_strdup(walk->path->str);
	found->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (found->fd < 0)
		found->fd = -errno;
	return true;
}

/* 0 or a negative errno: -ENOENT. */
static int find(const struct realm *realm, const char *id, struct found *out)
{
	struct walk walk = { .viewer = realm->viewer, .visit = visit_found, .data = out };
	char *end;
	int r;

	*out = (struct found){ .fd = -ENOENT };
	if (!g_ascii_isdigit(*id) || *id == '0' || strlen(id) > 20)
		return -ENOENT;
	walk.ino = strtoull(id, &end, 10);
	if (*end)
		return -ENOENT;
	r = walk_all(realm, &walk);
	return r < 0 ? r : MIN(out->fd, 0);
}

static int nested_stat(const struct realm *realm, const char *id, struct item **out)
{
	auto_found found;
	int r = find(realm, id, &found);

	if (r == 0)
		*out = g_memdup2(&found.item, sizeof found.item);
	return r;
}

static int nested_open(const struct realm *realm, const struct item *seen, struct item_file *out)
{
	auto_found found;
	int r = find(realm, seen->id, &found);

	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	if (!item_same(&found.item, seen) || !item_same_access(&found.item, seen))
		return -ESTALE;
	r = file_identify(found.fd, out);
	if (r == 0)
		out->fd = steal_fd(&found.fd);
	return r;
}

/*
 * Checks that the caller could open the path: the owners of the directories on it decide as well,
 * and the kernel looks it up with the caller's rights.
 */
static int reach(const struct realm *realm, const struct found *found, const struct caller *caller)
{
	struct stat st;
	struct fsuid id;
	auto_fd fd = -1;

	fsuid_begin(&id, caller);
	fsuid_take_groups(&id);
	fd = open_below(realm->shm_fd, found->path, O_PATH);
	fsuid_end(&id);
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == found->item.key.ino ? 0 : -EACCES;
}

static int nested_permit(const struct realm *realm, const struct item *item,
	const struct caller *caller, int want)
{
	auto_found found = { .fd = -ENOENT };
	int r;

	(void)want;
	if (!item)
		return 0;
	r = find(realm, item->id, &found);
	return r == -ENOENT ? -EACCES : r < 0 ? r : reach(realm, &found, caller);
}

static int nested_residency(const struct realm *realm, struct item *item)
{
	auto_found found = { .fd = -ENOENT };
	int r;

	if (item->resident != BYTES_UNKNOWN)
		return 0;
	r = find(realm, item->id, &found);
	return r < 0 ? r : residency_of(found.fd, &item->resident, &item->swapped);
}

static int nested_look(const struct realm *realm, const struct item *item, bool wait,
	struct object_now *out)
{
	auto_found found;
	int r = find(realm, item->id, &found);

	return r < 0 ? r : census_look(realm->census, found.fd, wait, out);
}

static bool nested_present(const struct realm *realm)
{
	return realm->shm_fd >= 0;
}

static int show_path(const struct view *view, const struct attribute *self, GString *out)
{
	auto_found found;
	int r = find(view->realm, view->item->id, &found);

	(void)self;
	if (r == 0)
		r = reach(view->realm, &found, &view->caller);
	if (r == 0) {
		format_escaped(out, found.path);
		g_string_append_c(out, '\n');
	}
	return r;
}

static const struct attribute attributes[] = {
	{ "path", FORM_TEXT, 0, show_path, .slow = true },
	{ NULL },
};

static const struct attribute *const tables[] = { segment_attributes, last_user_attributes,
	charged_attributes, attributes, NULL };

const struct kind kind_nested = {
	.directory = "nested",
	.item_size = sizeof(struct item),
	.data = DATA_FILE,
	.slow = true, /* the walk */
	.attributes = tables,
	.present = nested_present,
	.listed_alone = true,
	.each = nested_each,
	.stat = nested_stat,
	.open = nested_open,
	.permit = nested_permit,
	.residency = nested_residency,
	.look = nested_look,
};

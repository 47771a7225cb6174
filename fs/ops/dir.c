/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists directories. Each readdir of the root reads from the tmpfs and uses the positions that
 * tmpfs gives its entries, so that a million objects need no memory here. A directory of the tree
 * is listed completely when it is opened.
 */
#include "ops/ops.h"

#include "base/util.h"
#include "daemon/permit.h"
#include "kinds/posix-removal.h"
#include "serve/defer.h"
#include "serve/reply.h"
#include "tree/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

/* The position of .shmtree: after all entries of tmpfs, which does not use it itself. */
#define TREE_POSITION (INT64_MAX - 1)

/* Bytes that the C library allocates for a stream. */
#define STREAM_BYTES (32 * 1024)

struct listing {
	GMutex lock; /* several threads of the caller may read from one position */
	DIR *stream; /* of the root; NULL: a directory of the tree */
	off_t position;
	struct dirent *pending;   /* read, but did not fit the last reply */
	struct packed_rows names; /* of the tree: inode number, type, name */
	struct charge for_listing, for_stream;
	struct charged_budget bytes;
};

/* A reply under construction. */
struct page {
	fuse_req_t req;
	char *buf;
	size_t size, used;
};

static bool page_add(struct page *page, const char *name, uint64_t ino, mode_t type, off_t next)
{
	struct stat st = { .st_ino = ino, .st_mode = type };
	size_t n = fuse_add_direntry(page->req, page->buf + page->used, page->size - page->used,
		name, &st, next);

	if (n > page->size - page->used)
		return false;
	page->used += n;
	return true;
}

static void listing_free(struct listing *listing)
{
	size_t bytes = packed_rows_bytes(&listing->names);

	if (listing->stream)
		closedir(listing->stream);
	packed_rows_clear(&listing->names);
	charge_release(&listing->for_stream);
	charged_budget_release(&listing->bytes);
	charge_release(&listing->for_listing);
	g_mutex_clear(&listing->lock);
	g_free(listing);
	memory_freed(bytes);
}

static int open_root(struct fs *fs, const struct caller *caller, struct listing *listing)
{
	auto_fd fd = -1;
	int r = charge_take(fs->charges, caller, CHARGE_DESCRIPTORS, 1, &listing->for_stream);

	if (r < 0)
		return r;
	fd = openat(fs->shm_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	listing->stream = fd < 0 ? NULL : fdopendir(fd);
	if (!listing->stream)
		return -errno;
	steal_fd(&fd);
	budget_use(&listing->bytes.budget, STREAM_BYTES);
	return 0;
}

static void add_name(const char *name, uint64_t ino, mode_t type, void *data)
{
	struct listing *listing = data;

	packed_number(&listing->names, ino);
	packed_number(&listing->names, type);
	packed_text(&listing->names, name);
	packed_row_end(&listing->names);
}

static int open_tree(struct fs *fs, struct node *node, const struct caller *caller,
	struct listing *listing)
{
	add_name(".", node->ino, S_IFDIR, listing);
	add_name("..", node->parent ? node->parent->ino : FUSE_ROOT_ID, S_IFDIR, listing);
	return tree_each_name(fs, node, caller, add_name, listing);
}

static int open_listing(struct fs *fs, struct deferred *d, struct listing *listing)
{
	const struct caller caller = identity_caller(d->req);
	int r = charge_take(fs->charges, &caller, CHARGE_LISTINGS, 1, &listing->for_listing);

	if (r < 0)
		return r;
	charged_budget_init(&listing->bytes, fs->charges, &caller);
	r = d->node->type == NODE_ROOT ? open_root(fs, &caller, listing) :
					 open_tree(fs, d->node, &caller, listing);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	packed_rows_end(&listing->names);
	charged_budget_made(&listing->bytes);
	return listing->bytes.budget.error;
}

static void opendir_now(struct fs *fs, struct deferred *d)
{
	struct listing *listing = g_new0(struct listing, 1);
	int r;

	g_mutex_init(&listing->lock);
	packed_rows_init(&listing->names, &listing->bytes.budget);
	r = open_listing(fs, d, listing);
	if (r < 0) {
		listing_free(listing);
		reply_result(d->req, r);
		return;
	}
	d->fi.fh = (uintptr_t)listing;
	if (!reply_fh(d->req, &d->fi))
		listing_free(listing);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .node = node_from_id(fs->nodes, ino), .fi = *fi };
	int r = op_permit(req, d.node, R_OK);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	d.lists = tree_waits(d.node);
	defer_if(fs, d.lists, &d, opendir_now);
}

static bool is_object(struct fs *fs, const struct dirent *entry)
{
	struct stat st;

	if (strcmp(entry->d_name, TREE_NAME) == 0 || posix_is_hidden(entry->d_name))
		return false;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_REG;
	return fstatat(fs->shm_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode);
}

static bool add_entry(struct fs *fs, struct page *page, const struct dirent *entry)
{
	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return page_add(page, entry->d_name, FUSE_ROOT_ID, S_IFDIR, entry->d_off);
	return !is_object(fs, entry) ||
		page_add(page, entry->d_name, entry->d_ino, S_IFREG, entry->d_off);
}

/*
 * Adds entries from `off` on until the page is full. The stream's position moves past each one
 * added.
 */
static int fill_from_root(struct fs *fs, struct listing *listing, struct page *page, off_t off)
{
	struct dirent *entry;

	if (off == TREE_POSITION)
		return 0;
	if (off != listing->position) {
		if (off == 0)
			rewinddir(listing->stream); /* sees entries that are new since then */
		else
			seekdir(listing->stream, off);
		listing->pending = NULL;
		listing->position = off;
	}
	for (;;) {
		errno = 0;
		entry = listing->pending ? listing->pending : readdir(listing->stream);
		if (!entry)
			break;
		listing->pending = entry;
		if (!add_entry(fs, page, entry))
			return 0;
		listing->pending = NULL;
		listing->position = entry->d_off;
	}
	if (errno != 0)
		return page->used > 0 ? 0 : -errno;
	page_add(page, TREE_NAME, node_tree_ino(NULL, TREE_NAME), S_IFDIR, TREE_POSITION);
	return 0;
}

static void fill_from_tree(const struct listing *listing, struct page *page, off_t off)
{
	for (uint64_t i = MAX(off, 0); i < listing->names.n; i++) {
		const uint8_t *at = packed_row(&listing->names, i);
		uint64_t ino = packed_get_number(&at);
		mode_t type = packed_get_number(&at);

		if (!page_add(page, packed_get_text(&at), ino, type, i + 1))
			return;
	}
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
	g_autofree char *buf = g_try_malloc(size);
	struct page page = { .req = req, .buf = buf, .size = size };
	int r = 0;

	(void)ino;
	if (!buf) {
		reply_result(req, -ENOMEM);
		return;
	}
	g_mutex_lock(&listing->lock);
	if (listing->stream)
		r = fill_from_root(fs_of(req), listing, &page, off);
	else
		fill_from_tree(listing, &page, off);
	g_mutex_unlock(&listing->lock);
	if (r < 0)
		reply_result(req, r);
	else
		reply_buf(req, buf, page.used);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	listing_free((struct listing *)(uintptr_t)fi->fh);
	reply_result(req, 0);
}

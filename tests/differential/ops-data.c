/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading, writing, sizes and holes. */
#include "executor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static const struct choice rwf[] = {
	{ "RWF_DSYNC", RWF_DSYNC },
	{ "RWF_APPEND", RWF_APPEND },
	{ "RWF_SYNC", RWF_SYNC },
	{ "RWF_HIPRI", RWF_HIPRI },
	{ "RWF_NOWAIT", RWF_NOWAIT },
	{ "RWF_NOAPPEND", RWF_NOAPPEND },
	{ "1<<20", 1 << 20 },
	{ 0 },
};

static const struct choice whences[] = {
	{ "SEEK_SET", SEEK_SET },
	{ "SEEK_CUR", SEEK_CUR },
	{ "SEEK_END", SEEK_END },
	{ "SEEK_DATA", SEEK_DATA },
	{ "SEEK_HOLE", SEEK_HOLE },
	{ "9", 9 },
	{ 0 },
};

static const struct choice fallocate_modes[] = {
	{ "0", 0 },
	{ "0", 0 },
	{ "KEEP_SIZE", FALLOC_FL_KEEP_SIZE },
	{ "PUNCH_HOLE|KEEP_SIZE", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
	{ "PUNCH_HOLE|KEEP_SIZE", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
	{ "PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE },
	{ "ZERO_RANGE", FALLOC_FL_ZERO_RANGE },
	{ "ZERO_RANGE|KEEP_SIZE", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
	{ "COLLAPSE_RANGE", FALLOC_FL_COLLAPSE_RANGE },
	{ "INSERT_RANGE", FALLOC_FL_INSERT_RANGE },
	{ "UNSHARE_RANGE", FALLOC_FL_UNSHARE_RANGE },
	{ "0x80", 0x80 },
	{ 0 },
};

static const struct choice sync_flags[] = {
	{ "WAIT_BEFORE", SYNC_FILE_RANGE_WAIT_BEFORE },
	{ "WRITE", SYNC_FILE_RANGE_WRITE },
	{ "WAIT_AFTER", SYNC_FILE_RANGE_WAIT_AFTER },
	{ "8", 8 },
	{ 0 },
};

static const struct choice advices[] = {
	{ "NORMAL", POSIX_FADV_NORMAL },
	{ "DONTNEED", POSIX_FADV_DONTNEED },
	{ "WILLNEED", POSIX_FADV_WILLNEED },
	{ "SEQUENTIAL", POSIX_FADV_SEQUENTIAL },
	{ "77", 77 },
	{ 0 },
};

static void note_read(struct context *ctx, struct outcome *out, ssize_t n)
{
	if (note(out, n))
		note_data(out, ctx->io, (size_t)n);
}

static void do_read(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note_read(ctx, out, read(ctx->fds[arg[0]], ctx->io, (size_t)arg[1]));
}

static void do_pread(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note_read(ctx, out, pread(ctx->fds[arg[0]], ctx->io, (size_t)arg[2], arg[1]));
}

/* Two parts, so that a vector is a vector. */
static void split(struct context *ctx, int64_t count, struct iovec iov[2])
{
	size_t first = (size_t)count / 3;

	iov[0] = (struct iovec){ ctx->io, first };
	iov[1] = (struct iovec){ ctx->io + first, (size_t)count - first };
}

static void do_preadv2(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct iovec iov[2];

	split(ctx, arg[2], iov);
	note_read(ctx, out, preadv2(ctx->fds[arg[0]], iov, 2, arg[1], (int)arg[3]));
}

static void do_write(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	fill_pattern(ctx->io, (size_t)arg[1], arg[2]);
	look_at_end(ctx, arg[0]);
	note(out, write(ctx->fds[arg[0]], ctx->io, (size_t)arg[1]));
}

static void do_pwrite(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	fill_pattern(ctx->io, (size_t)arg[2], arg[3]);
	look_at_end(ctx, arg[0]);
	note(out, pwrite(ctx->fds[arg[0]], ctx->io, (size_t)arg[2], arg[1]));
}

/*
 * Neither flag reaches whom it concerns: RWF_APPEND comes to the daemon as an offset, the end that
 * the kernel knows; RWF_NOAPPEND does not get through to the object's own descriptor.
 */
static void do_pwritev2(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int flags = (int)arg[4] & ~RWF_NOAPPEND;
	struct iovec iov[2];

	split(ctx, arg[2], iov);
	fill_pattern(ctx->io, (size_t)arg[2], arg[3]);
	look(ctx, arg[0]);
	note(out, pwritev2(ctx->fds[arg[0]], iov, 2, arg[1], flags));
}

/* Buffers in pages that are missing or shared with the very file are what deadlocks are made of. */
static void do_pread_into_map(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct mapping *map = &ctx->maps[arg[3]];
	size_t count = (size_t)arg[2] < map->len ? (size_t)arg[2] : map->len;

	if (map->addr)
		note(out, pread(ctx->fds[arg[0]], map->addr, count, arg[1]));
}

static void do_pwrite_from_map(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct mapping *map = &ctx->maps[arg[3]];
	size_t count = (size_t)arg[2] < map->len ? (size_t)arg[2] : map->len;

	look_at_end(ctx, arg[0]);
	if (map->addr)
		note(out, pwrite(ctx->fds[arg[0]], map->addr, count, arg[1]));
}

/* Where a directory has which entry is the file system's own affair, but its beginning is not. */
static void do_lseek(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct stat st;

	if (fstat(ctx->fds[arg[0]], &st) == 0 && S_ISDIR(st.st_mode) &&
		(arg[1] != 0 || arg[2] != SEEK_SET))
		return;
	note(out, lseek(ctx->fds[arg[0]], arg[1], (int)arg[2]));
}

static void do_truncate(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, truncate(name_at(arg[0]), arg[1]));
}

static void do_ftruncate(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	look_at_end(ctx, arg[0]);
	note(out, ftruncate(ctx->fds[arg[0]], arg[1]));
}

/*
 * tmpfs applies the limit of file sizes also when the size is kept, but not in a mode that it does
 * not know; FUSE does so when the size changes, whatever the mode. The call is left out, as its
 * effect would differ.
 */
static bool differs_by_limit(const int64_t *arg)
{
	return arg[1] != 0 && is_limited();
}

/* FUSE clears set-ID bits before it asks, also when the answer is an error. */
static bool differs_by_set_ids(const struct context *ctx, const int64_t *arg)
{
	struct stat st;

	return (ctx->actor->uid != 0 || ctx->actor->powerless) &&
		fstat(ctx->fds[arg[0]], &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID));
}

static void do_fallocate(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	if (!differs_by_limit(arg) && !differs_by_set_ids(ctx, arg))
		note(out, fallocate(ctx->fds[arg[0]], (int)arg[1], arg[2], arg[3]));
}

static void do_fsync(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, fsync(ctx->fds[arg[0]]));
}

static void do_fdatasync(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, fdatasync(ctx->fds[arg[0]]));
}

static void do_sync_file_range(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, sync_file_range(ctx->fds[arg[0]], arg[1], arg[2], (unsigned)arg[3]));
}

static void do_syncfs(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, syncfs(ctx->fds[arg[0]]));
}

/*
 * Reading ahead fills the kernel's cache of the mount, which nothing reads, by way of the daemon.
 * The object's access time tells.
 */
static bool reads_ahead(struct context *ctx, int64_t advice)
{
	return ctx->side->no_mmap && advice == POSIX_FADV_WILLNEED;
}

static void do_fadvise(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	if (reads_ahead(ctx, arg[3]))
		return;
	errno = posix_fadvise(ctx->fds[arg[0]], arg[1], arg[2], (int)arg[3]);
	note(out, errno ? -1 : 0);
}

static void do_readahead(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	if (!reads_ahead(ctx, POSIX_FADV_WILLNEED))
		note(out, readahead(ctx->fds[arg[0]], arg[1], (size_t)arg[2]));
}

const struct op ops_data[] = {
	{ "read", 40, { { "fd", ARG_FD }, { "count", ARG_COUNT } }, do_read },
	{ "write", 100, { { "fd", ARG_FD }, { "count", ARG_COUNT_OR_0 }, { "pattern", ARG_SEED } },
		do_write },
	{ "pread", 40, { { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "count", ARG_COUNT } },
		do_pread },
	{ "pwrite", 60,
		{ { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "count", ARG_COUNT_OR_0 },
			{ "pattern", ARG_SEED } },
		do_pwrite },
	{ "preadv2", 15,
		{ { "fd", ARG_FD }, { "offset", ARG_POSITION }, { "count", ARG_COUNT },
			{ "flags", ARG_BITS, rwf } },
		do_preadv2 },
	{ "pwritev2", 25,
		{ { "fd", ARG_FD }, { "offset", ARG_POSITION }, { "count", ARG_COUNT_OR_0 },
			{ "pattern", ARG_SEED }, { "flags", ARG_BITS, rwf } },
		do_pwritev2 },
	{ "pread_into_map", 8,
		{ { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "count", ARG_COUNT },
			{ "map", ARG_MAP } },
		do_pread_into_map },
	{ "pwrite_from_map", 8,
		{ { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "count", ARG_COUNT },
			{ "map", ARG_MAP } },
		do_pwrite_from_map },
	{ "lseek", 30, { { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "", ARG_PICK, whences } },
		do_lseek },
	{ "truncate", 25, { { "", ARG_NAME }, { "length", ARG_SIZE } }, do_truncate },
	{ "ftruncate", 40, { { "fd", ARG_FD }, { "length", ARG_SIZE } }, do_ftruncate },
	{ "fallocate", 30,
		{ { "fd", ARG_FD }, { "mode", ARG_PICK, fallocate_modes }, { "offset", ARG_OFFSET },
			{ "length", ARG_SIZE } },
		do_fallocate },
	{ "fsync", 4, { { "fd", ARG_FD } }, do_fsync },
	{ "fdatasync", 4, { { "fd", ARG_FD } }, do_fdatasync },
	{ "sync_file_range", 4,
		{ { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "length", ARG_SIZE },
			{ "flags", ARG_BITS, sync_flags } },
		do_sync_file_range },
	{ "syncfs", 3, { { "fd", ARG_FD } }, do_syncfs },
	{ "fadvise", 4,
		{ { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "length", ARG_SIZE },
			{ "", ARG_PICK, advices } },
		do_fadvise },
	{ "readahead", 4, { { "fd", ARG_FD }, { "offset", ARG_OFFSET }, { "count", ARG_COUNT } },
		do_readahead },
	{ 0 },
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving bytes without a buffer: copy_file_range, sendfile, splice and tee. */
#include "executor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

static const struct choice copy_flags[] = {
	{ "0", 0 },
	{ "0", 0 },
	{ "0", 0 },
	{ "1", 1 },
	{ 0 },
};

static const struct choice splice_flags[] = {
	{ "SPLICE_F_MOVE", SPLICE_F_MOVE },
	{ "SPLICE_F_MORE", SPLICE_F_MORE },
	{ "0x40", 0x40 },
	{ 0 },
};

/* A null pointer for "the descriptor's own position", which is -1 in a step. */
static off_t *position(off_t *offset)
{
	return *offset == -1 ? NULL : offset;
}

/* Empties a pipe into the outcome. */
static void drain(int fd, struct context *ctx, struct outcome *out)
{
	ssize_t n;

	while ((n = read(fd, ctx->io, MAX_IO)) > 0)
		note_data(out, ctx->io, (size_t)n);
}

static bool make_pipe(int pair[2], struct outcome *out)
{
	if (note(out, pipe2(pair, O_CLOEXEC | O_NONBLOCK)))
		return true;
	return false;
}

static void close_pipe(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void do_copy_range(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	off_t from = arg[1], to = arg[3];

	look(ctx, arg[0]);
	/* Nothing to copy, or beyond the limit: that it may not comes first there, and last here. */
	if (is_immutable(ctx, arg[2]))
		return;
	note(out,
		copy_file_range(ctx->fds[arg[0]], position(&from), ctx->fds[arg[2]], position(&to),
			(size_t)arg[4], (unsigned)arg[5]));
}

/*
 * Within one file natively the kernel touches the access time once more after writing, and what a
 * pipe holds of the file changes with it. On a mount the former concerns the mount's inode alone, and
 * the latter is a copy when there is no passthrough.
 */
static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

static void do_sendfile(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	off_t from = arg[2];

	if (same_file(ctx->fds[arg[0]], ctx->fds[arg[1]]))
		return;
	look(ctx, arg[1]);
	look_at_end(ctx, arg[0]);
	note(out, sendfile(ctx->fds[arg[0]], ctx->fds[arg[1]], position(&from), (size_t)arg[3]));
}

static void do_sendfile_pipe(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	off_t from = arg[1];
	int pair[2];

	if (!make_pipe(pair, out))
		return;
	look(ctx, arg[0]);
	note(out, sendfile(pair[1], ctx->fds[arg[0]], position(&from), (size_t)arg[2]));
	drain(pair[0], ctx, out);
	close_pipe(pair);
}

static void do_splice_out(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	off_t from = arg[1];
	int pair[2];

	if (!make_pipe(pair, out))
		return;
	look(ctx, arg[0]);
	note(out,
		splice(ctx->fds[arg[0]], position(&from), pair[1], NULL, (size_t)arg[2],
			(unsigned)arg[3] | SPLICE_F_NONBLOCK));
	drain(pair[0], ctx, out);
	close_pipe(pair);
}

static void do_splice_in(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	off_t to = arg[1];
	int pair[2];

	if (!make_pipe(pair, out))
		return;
	fill_pattern(ctx->io, (size_t)arg[2], arg[3]);
	look_at_end(ctx, arg[0]);
	if (note(out, write(pair[1], ctx->io, (size_t)arg[2])))
		note(out,
			splice(pair[0], NULL, ctx->fds[arg[0]], position(&to), (size_t)arg[2],
				(unsigned)arg[4] | SPLICE_F_NONBLOCK));
	drain(pair[0], ctx, out);
	close_pipe(pair);
}

/* File to pipe, pipe teed to another pipe, that one to a file. */
static void do_tee(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	off_t from = arg[1], to = arg[3];
	int first[2], second[2];
	ssize_t n;

	if (same_file(ctx->fds[arg[0]], ctx->fds[arg[2]]) || !make_pipe(first, out))
		return;
	if (!make_pipe(second, out)) {
		close_pipe(first);
		return;
	}
	look(ctx, arg[0]);
	look_at_end(ctx, arg[2]);
	n = splice(ctx->fds[arg[0]], position(&from), first[1], NULL, (size_t)arg[4],
		SPLICE_F_NONBLOCK);
	if (note(out, n) && n > 0 && note(out, tee(first[0], second[1], (size_t)n, 0)))
		note(out,
			splice(second[0], NULL, ctx->fds[arg[2]], position(&to), (size_t)n,
				SPLICE_F_NONBLOCK));
	drain(first[0], ctx, out);
	close_pipe(first);
	close_pipe(second);
}

const struct op ops_move[] = {
	{ "copy_file_range", 25,
		{ { "from fd", ARG_FD }, { "offset", ARG_POSITION }, { "to fd", ARG_FD },
			{ "offset", ARG_POSITION }, { "count", ARG_COUNT },
			{ "flags", ARG_PICK, copy_flags } },
		do_copy_range },
	{ "sendfile", 12,
		{ { "to fd", ARG_FD }, { "from fd", ARG_FD }, { "offset", ARG_POSITION },
			{ "count", ARG_COUNT } },
		do_sendfile },
	{ "sendfile_to_pipe", 8,
		{ { "fd", ARG_FD }, { "offset", ARG_POSITION }, { "count", ARG_COUNT } },
		do_sendfile_pipe },
	{ "splice_to_pipe", 12,
		{ { "fd", ARG_FD }, { "offset", ARG_POSITION }, { "count", ARG_COUNT },
			{ "flags", ARG_BITS, splice_flags } },
		do_splice_out },
	{ "splice_from_pipe", 12,
		{ { "fd", ARG_FD }, { "offset", ARG_POSITION }, { "count", ARG_COUNT },
			{ "pattern", ARG_SEED }, { "flags", ARG_BITS, splice_flags } },
		do_splice_in },
	{ "tee", 8,
		{ { "from fd", ARG_FD }, { "offset", ARG_POSITION }, { "to fd", ARG_FD },
			{ "offset", ARG_POSITION }, { "count", ARG_COUNT } },
		do_tee },
	{ 0 },
};

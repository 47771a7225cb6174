/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks that do not wait; those that do are scripted, in locks.c. */
#include "executor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static const struct choice flock_kinds[] = {
	{ "LOCK_SH", LOCK_SH },
	{ "LOCK_EX", LOCK_EX },
	{ "LOCK_EX", LOCK_EX },
	{ "LOCK_UN", LOCK_UN },
	{ "LOCK_SH|LOCK_EX", LOCK_SH | LOCK_EX },
	{ 0 },
};

static const struct choice lock_types[] = {
	{ "F_RDLCK", F_RDLCK },
	{ "F_WRLCK", F_WRLCK },
	{ "F_WRLCK", F_WRLCK },
	{ "F_UNLCK", F_UNLCK },
	{ "9", 9 },
	{ 0 },
};

static const struct choice set_commands[] = {
	{ "F_SETLK", F_SETLK },
	{ "F_SETLK", F_SETLK },
	{ "F_OFD_SETLK", F_OFD_SETLK },
	{ 0 },
};

static const struct choice get_commands[] = {
	{ "F_GETLK", F_GETLK },
	{ "F_GETLK", F_GETLK },
	{ "F_OFD_GETLK", F_OFD_GETLK },
	{ 0 },
};

static const struct choice whences[] = {
	{ "SEEK_SET", SEEK_SET },
	{ "SEEK_SET", SEEK_SET },
	{ "SEEK_CUR", SEEK_CUR },
	{ "SEEK_END", SEEK_END },
	{ 0 },
};

static const struct choice starts[] = {
	{ "0", 0 },
	{ "0", 0 },
	{ "10", 10 },
	{ "100", 100 },
	{ "4096", 4096 },
	{ "-5", -5 },
	{ "2^62", 1LL << 62 },
	{ 0 },
};

static const struct choice lengths[] = {
	{ "0", 0 },
	{ "1", 1 },
	{ "10", 10 },
	{ "95", 95 },
	{ "4096", 4096 },
	{ "-5", -5 },
	{ "2^62", 1LL << 62 },
	{ 0 },
};

static void do_flock(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, flock(ctx->fds[arg[0]], (int)arg[1] | LOCK_NB));
}

/* What is counted from the end is counted from the size that the kernel knows. */
static struct flock lock_of(struct context *ctx, const int64_t *arg)
{
	if (arg[3] == SEEK_END)
		look(ctx, arg[0]);
	return (struct flock){
		.l_type = (short)arg[2],
		.l_whence = (short)arg[3],
		.l_start = arg[4],
		.l_len = arg[5],
	};
}

/*
 * A lock owner's descriptor is opened when it first locks; for writing that cannot be where the file
 * has become immutable since it was opened: EBADF on the mount.
 */
static void do_setlk(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct flock lock = lock_of(ctx, arg);

	if (lock.l_type == F_WRLCK && is_immutable(ctx, arg[0]))
		return;
	note(out, fcntl(ctx->fds[arg[0]], (int)arg[1], &lock));
}

static void do_getlk(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct flock lock = lock_of(ctx, arg);

	if (!note(out, fcntl(ctx->fds[arg[0]], (int)arg[1], &lock)))
		return;
	out->has_holder = lock.l_type != F_UNLCK;
	if (out->has_holder) { /* otherwise the rest is what was asked */
		int64_t range[] = { lock.l_type, lock.l_whence, lock.l_start, lock.l_len };

		note_data(out, range, sizeof(range));
		out->holder = lock.l_pid;
	}
}

const struct op ops_lock[] = {
	{ "flock", 25, { { "fd", ARG_FD }, { "", ARG_PICK, flock_kinds } }, do_flock },
	{ "fcntl_setlk", 40,
		{ { "fd", ARG_FD }, { "", ARG_PICK, set_commands }, { "", ARG_PICK, lock_types },
			{ "", ARG_PICK, whences }, { "start", ARG_PICK, starts },
			{ "length", ARG_PICK, lengths } },
		do_setlk },
	{ "fcntl_getlk", 25,
		{ { "fd", ARG_FD }, { "", ARG_PICK, get_commands }, { "", ARG_PICK, lock_types },
			{ "", ARG_PICK, whences }, { "start", ARG_PICK, starts },
			{ "length", ARG_PICK, lengths } },
		do_getlk },
	{ 0 },
};

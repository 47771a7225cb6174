/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening, closing, duplicating; and what a process has of its own: umask, limits, its life. */
#include "exceptions.h"
#include "executor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct choice accesses[] = {
	{ "O_RDWR", O_RDWR },
	{ "O_RDWR", O_RDWR },
	{ "O_RDWR", O_RDWR },
	{ "O_RDONLY", O_RDONLY },
	{ "O_RDONLY", O_RDONLY },
	{ "O_WRONLY", O_WRONLY },
	{ "O_WRONLY", O_WRONLY },
	{ "O_ACCMODE", O_ACCMODE },
	{ 0 },
};

static const struct choice open_flags[] = {
	{ "O_CREAT", O_CREAT },
	{ "O_EXCL", O_EXCL },
	{ "O_TRUNC", O_TRUNC },
	{ "O_APPEND", O_APPEND },
	{ "O_DIRECT", O_DIRECT },
	{ "O_SYNC", O_SYNC },
	{ "O_NOFOLLOW", O_NOFOLLOW },
	{ "O_NOATIME", O_NOATIME },
	{ "O_DSYNC", O_DSYNC },
	{ "O_NONBLOCK", O_NONBLOCK },
	{ "O_DIRECTORY", O_DIRECTORY },
	{ "O_TMPFILE", O_TMPFILE },
	{ "O_ASYNC", O_ASYNC },
	{ 0 },
};

static const struct choice create_flags[] = {
	{ "0", 0 },
	{ "0", 0 },
	{ "O_EXCL", O_EXCL },
	{ "O_TRUNC", O_TRUNC },
	{ "O_APPEND", O_APPEND },
	{ "O_DIRECT", O_DIRECT },
	{ 0 },
};

static const struct choice tmpfile_flags[] = {
	{ "O_EXCL", O_EXCL },
	{ "O_APPEND", O_APPEND },
	{ "O_DIRECT", O_DIRECT },
	{ 0 },
};

static const struct choice path_flags[] = {
	{ "O_DIRECTORY", O_DIRECTORY },
	{ "O_TRUNC", O_TRUNC },
	{ 0 },
};

static const struct choice status_flags[] = {
	{ "O_APPEND", O_APPEND },
	{ "O_NONBLOCK", O_NONBLOCK },
	{ "O_NOATIME", O_NOATIME },
	{ "O_DIRECT", O_DIRECT },
	{ 0 },
};

static const struct choice limits[] = {
	{ "0", 0 },
	{ "100", 100 },
	{ "4096", 4096 },
	{ "10000", 10000 },
	{ "65536", 65536 },
	{ "none", -1 },
	{ "none", -1 },
	{ "none", -1 },
	{ 0 },
};

static const struct choice special_kinds[] = {
	{ "S_IFIFO", S_IFIFO },
	{ "S_IFSOCK", S_IFSOCK },
	{ "S_IFCHR", S_IFCHR },
	{ 0 },
};

static void do_open(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int flags = (int)(arg[2] | arg[3]) | O_CLOEXEC;

	note_fd(ctx, out, arg[0], open(name_at(arg[1]), flags, (mode_t)arg[4]));
}

static void do_create(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int flags = (int)(arg[2] | arg[3]) | O_CREAT | O_CLOEXEC;

	note_fd(ctx, out, arg[0], open(name_at(arg[1]), flags, (mode_t)arg[4]));
}

static void do_tmpfile(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int flags = (int)(arg[1] | arg[2]) | O_TMPFILE | O_CLOEXEC;

	note_fd(ctx, out, arg[0], open(".", flags, (mode_t)arg[3]));
}

/*
 * What can be asked of an O_PATH descriptor. It does not outlive the step, because FUSE does not
 * tell the daemon of it: it keeps no unlinked object alive.
 */
static void do_open_path(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int fd = open(name_at(arg[0]), O_PATH | O_NOFOLLOW | (int)arg[1] | O_CLOEXEC);
	char path[40];
	int results[6], n = 0;

	if (!note(out, fd < 0 ? -1 : 0))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	results[n++] = read(fd, ctx->io, 1) < 0;
	results[n++] = fchmod(fd, 0644) < 0;
	results[n++] = chmod(path, mode_of(ctx, arg[2])) < 0;
	results[n++] = linkat(fd, "", AT_FDCWD, name_at(0), AT_EMPTY_PATH) < 0;
	results[n++] = utimensat(fd, "", NULL, AT_EMPTY_PATH) < 0;
	results[n++] = fcntl(fd, F_GETFL);
	note_data(out, results, sizeof(results));
	out->has_stat =
		statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &out->st) == 0;
	close(fd);
}

/*
 * Through the magic link, which leads to the file even when it has no name. O_CREAT means nothing there, but
 * fs.protected_regular may have the daemon refuse it: it does not learn by which path it was.
 */
static void do_reopen(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int flags = (int)(arg[2] | arg[3]) & ~(permissions_by_daemon ? O_CREAT : 0);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", ctx->fds[arg[1]]);
	note_fd(ctx, out, arg[0], open(path, flags | O_CLOEXEC));
}

static void do_close(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, close_slot(ctx, arg[0]));
}

static void do_dup(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note_fd(ctx, out, arg[1], fcntl(ctx->fds[arg[0]], F_DUPFD_CLOEXEC, 0));
}

static void do_getfl(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, fcntl(ctx->fds[arg[0]], F_GETFL));
}

/*
 * The descriptor that serves the calls is another one, with the flags of open(2): O_NOATIME stays as
 * it was then, and with passthrough O_APPEND stays on, as fcntl(2) is not told to anyone.
 */
static void do_setfl(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int fd = ctx->fds[arg[0]], flags = (int)arg[1];
	int kept = ctx->side->no_mmap ? O_NOATIME : O_NOATIME | O_APPEND;

	flags = (flags & ~kept) | (fcntl(fd, F_GETFL) & kept);
	note(out, fcntl(fd, F_SETFL, flags));
}

static void do_umask(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, umask((mode_t)arg[0]));
}

static void do_limit(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct rlimit limit;

	(void)ctx;
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = arg[0] < 0 ? limit.rlim_max : (rlim_t)arg[0];
	note(out, setrlimit(RLIMIT_FSIZE, &limit));
}

static void do_mknod(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, mknod(name_at(arg[0]), S_IFREG | (mode_t)arg[1], 0));
}

/*
 * The mount's name space holds regular files alone, so that the kernel's own checks pass and then
 * the answer is EPERM. The model makes the same checks and does not make the call.
 */
static bool foretell_refusal(struct context *ctx, int64_t name, bool directory, struct outcome *out)
{
	char plain[NAME_MAX + 3];
	struct stat st;
	size_t len = strlen(name_at(name));
	bool slash = name_at(name)[len - 1] == '/';

	if (ctx->side->is_mount && !ctx->actor->outside)
		return false;
	snprintf(plain, sizeof(plain), "%.*s", (int)(len - slash), name_at(name));
	if (ctx->actor->outside)
		note_error(out, ENOSYS); /* no such thing is made behind the mount either */
	else if (lstat(plain, &st) == 0)
		note_error(out, EEXIST);
	else if (errno != ENOENT || (slash && !directory) || strchr(plain, '/'))
		note_error(out, errno);
	else if (faccessat(AT_FDCWD, ".", W_OK | X_OK, AT_EACCESS) < 0)
		note_error(out, errno);
	else
		note_error(out, EPERM);
	return true;
}

static void do_mkdir(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	if (!foretell_refusal(ctx, arg[0], true, out))
		note(out, mkdir(name_at(arg[0]), (mode_t)arg[1]));
}

static void do_symlink(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	if (!foretell_refusal(ctx, arg[0], false, out))
		note(out, symlink("target", name_at(arg[0])));
}

static void do_mkspecial(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	if (!foretell_refusal(ctx, arg[0], false, out))
		note(out, mknod(name_at(arg[0]), (mode_t)(arg[1] | arg[2]), makedev(1, 3)));
}

/* The driver kills the executors afterwards and starts new ones. */
static void do_die(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	(void)arg;
	note(out, 0);
}

const struct op ops_open[] = {
	{ "open", 100,
		{ { "fd", ARG_FD_NEW }, { "", ARG_NAME }, { "", ARG_PICK, accesses },
			{ "", ARG_BITS, open_flags }, { "mode", ARG_MODE } },
		do_open },
	{ "create", 140,
		{ { "fd", ARG_FD_NEW }, { "", ARG_NAME }, { "", ARG_PICK, accesses },
			{ "", ARG_PICK, create_flags }, { "mode", ARG_MODE } },
		do_create },
	{ "tmpfile", 15,
		{ { "fd", ARG_FD_NEW }, { "", ARG_PICK, accesses }, { "", ARG_BITS, tmpfile_flags },
			{ "mode", ARG_MODE } },
		do_tmpfile },
	{ "reopen", 15,
		{ { "new fd", ARG_FD_NEW }, { "fd", ARG_FD }, { "", ARG_PICK, accesses },
			{ "", ARG_BITS, open_flags } },
		do_reopen },
	{ "open_path", 8, { { "", ARG_NAME }, { "", ARG_BITS, path_flags }, { "mode", ARG_MODE } },
		do_open_path },
	{ "close", 40, { { "fd", ARG_FD_CLOSED } }, do_close },
	{ "dup", 10, { { "fd", ARG_FD }, { "new fd", ARG_FD_NEW } }, do_dup },
	{ "fcntl_getfl", 8, { { "fd", ARG_FD } }, do_getfl },
	{ "fcntl_setfl", 15, { { "fd", ARG_FD }, { "flags", ARG_BITS, status_flags } }, do_setfl },
	{ "umask", 8, { { "mask", ARG_MODE } }, do_umask },
	{ "limit_file_size", 12, { { "bytes", ARG_PICK, limits } }, do_limit },
	{ "mknod", 10, { { "", ARG_NAME }, { "mode", ARG_MODE } }, do_mknod },
	{ "mkdir", 4, { { "", ARG_NAME }, { "mode", ARG_MODE } }, do_mkdir },
	{ "symlink", 4, { { "", ARG_NAME } }, do_symlink },
	{ "mknod_special", 4,
		{ { "", ARG_NAME }, { "", ARG_PICK, special_kinds }, { "mode", ARG_MODE } },
		do_mkspecial },
	{ "die", 6, { { 0 } }, do_die },
	{ 0 },
};

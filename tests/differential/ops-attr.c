/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stat shows and what changes it; the file system's own numbers; flags, handles, seals. */
#include "exceptions.h"
#include "executor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static const struct choice owners[] = {
	{ "-1", -1 },
	{ "0", 0 },
	{ "2001", 2001 },
	{ "2002", 2002 },
	{ "2003", 2003 },
	{ 0 },
};

static const struct choice groups[] = {
	{ "-1", -1 },
	{ "0", 0 },
	{ "2001", 2001 },
	{ "2002", 2002 },
	{ "3001", 3001 },
	{ "4000", 4000 },
	{ 0 },
};

static const struct choice seconds[] = {
	{ "now", UTIME_NOW },
	{ "now", UTIME_NOW },
	{ "omit", UTIME_OMIT },
	{ "omit", UTIME_OMIT },
	{ "1", 1 },
	{ "1000000000", 1000000000 },
	{ "-1", -1 },
	{ "-5000000000", -5000000000 },
	{ "4102444800", 4102444800 },
	{ "9007199254740993", 9007199254740993 },
	{ 0 },
};

static const struct choice nanoseconds[] = {
	{ "0", 0 },
	{ "1", 1 },
	{ "123456789", 123456789 },
	{ "999999999", 999999999 },
	{ "1000000000", 1000000000 },
	{ 0 },
};

/* Not FS_APPEND_FL: the kernel's FUSE inode does not know it, and lets fcntl(2) clear O_APPEND. */
static const struct choice inode_flags[] = {
	{ "FS_NODUMP_FL", FS_NODUMP_FL },
	{ "FS_NOATIME_FL", FS_NOATIME_FL },
	{ "FS_IMMUTABLE_FL", FS_IMMUTABLE_FL },
	{ "FS_SYNC_FL", FS_SYNC_FL },
	{ 0 },
};

static const struct choice seals[] = {
	{ "F_SEAL_WRITE", F_SEAL_WRITE },
	{ "F_SEAL_SHRINK", F_SEAL_SHRINK },
	{ "0x1000", 0x1000 },
	{ 0 },
};

static void do_stat(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	out->has_stat = note(out,
		statx(AT_FDCWD, name_at(arg[0]), AT_SYMLINK_NOFOLLOW,
			STATX_BASIC_STATS | STATX_BTIME, &out->st));
}

static void do_fstat(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	out->has_stat = note(out,
		statx(ctx->fds[arg[0]], "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME,
			&out->st));
}

static void do_chmod(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, chmod(name_at(arg[0]), mode_of(ctx, arg[1])));
}

static void do_fchmod(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	look(ctx, arg[0]);
	note(out, fchmod(ctx->fds[arg[0]], mode_of(ctx, arg[1])));
}

/*
 * To change nothing is what the kernel asks of the daemon before a write that clears set-ID bits, and
 * does not say whether it is a chown(2): that clears them for those who should get EPERM, and
 * set-group-ID for those who should keep it.
 */
static bool changes_nothing(const int64_t *arg)
{
	return arg[1] == -1 && arg[2] == -1;
}

static void do_chown(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	if (!changes_nothing(arg))
		note(out, chown(name_at(arg[0]), (uid_t)arg[1], (gid_t)arg[2]));
}

static void do_fchown(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	look(ctx, arg[0]);
	if (!changes_nothing(arg))
		note(out, fchown(ctx->fds[arg[0]], (uid_t)arg[1], (gid_t)arg[2]));
}

static struct timespec time_of(int64_t sec, int64_t nsec)
{
	if (sec == UTIME_NOW || sec == UTIME_OMIT)
		return (struct timespec){ .tv_nsec = sec };
	return (struct timespec){ .tv_sec = sec, .tv_nsec = nsec };
}

static void do_utimens(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct timespec times[2] = { time_of(arg[1], arg[2]), time_of(arg[3], arg[4]) };

	(void)ctx;
	note(out, utimensat(AT_FDCWD, name_at(arg[0]), times, 0));
}

static void do_futimens(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct timespec times[2] = { time_of(arg[1], arg[2]), time_of(arg[3], arg[4]) };

	look(ctx, arg[0]);
	note(out, futimens(ctx->fds[arg[0]], times));
}

/* Type and identity of the file system differ by nature; everything else is the tmpfs's. */
static void note_statfs(struct outcome *out, const struct statfs *fs)
{
	int64_t fields[] = {
		fs->f_bsize,
		fs->f_frsize,
		(int64_t)fs->f_blocks,
		(int64_t)fs->f_bfree,
		(int64_t)fs->f_bavail,
		(int64_t)fs->f_files,
		(int64_t)fs->f_ffree,
		fs->f_namelen,
		fs->f_flags & (ST_NOSUID | ST_NODEV | ST_RDONLY | ST_NOEXEC),
	};

	note_data(out, fields, sizeof(fields));
}

static void do_statfs(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct statfs fs;

	(void)ctx;
	if (note(out, statfs(name_at(arg[0]), &fs)))
		note_statfs(out, &fs);
}

static void do_fstatfs(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct statfs fs;

	if (note(out, fstatfs(ctx->fds[arg[0]], &fs)))
		note_statfs(out, &fs);
}

static bool foretell_unreadable(int fd, struct outcome *out)
{
	if (!flags_are_unreadable(fd))
		return false;
	note_error(out, EACCES);
	return true;
}

static void do_getflags(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int flags = 0;

	if (!foretell_unreadable(ctx->fds[arg[0]], out) &&
		note(out, ioctl(ctx->fds[arg[0]], FS_IOC_GETFLAGS, &flags)))
		out->ret = flags;
}

static void do_setflags(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int flags = (int)arg[1];

	look(ctx, arg[0]);
	if (!foretell_unreadable(ctx->fds[arg[0]], out))
		note(out, ioctl(ctx->fds[arg[0]], FS_IOC_SETFLAGS, &flags));
}

static void do_getxflags(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct fsxattr fsx = { 0 };

	if (!foretell_unreadable(ctx->fds[arg[0]], out) &&
		note(out, ioctl(ctx->fds[arg[0]], FS_IOC_FSGETXATTR, &fsx)))
		note_data(out, &fsx, sizeof(fsx));
}

static void do_bad_ioctl(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	char data[64] = { 0 };

	note(out, ioctl(ctx->fds[arg[0]], _IOWR('%', 0x77, data), data));
}

/* The bytes of a handle are the file system's own; that it can be made is what counts. */
static void do_handle(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	(void)ctx;
	note(out, name_to_handle_at(AT_FDCWD, name_at(arg[0]), &handle.head, &mount, 0));
}

static void do_get_seals(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, fcntl(ctx->fds[arg[0]], F_GET_SEALS));
}

static void do_add_seals(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, fcntl(ctx->fds[arg[0]], F_ADD_SEALS, (int)arg[1]));
}

const struct op ops_attr[] = {
	{ "stat", 60, { { "", ARG_NAME } }, do_stat },
	{ "fstat", 40, { { "fd", ARG_FD } }, do_fstat },
	{ "chmod", 25, { { "", ARG_NAME }, { "mode", ARG_MODE } }, do_chmod },
	{ "fchmod", 20, { { "fd", ARG_FD }, { "mode", ARG_MODE } }, do_fchmod },
	{ "chown", 25,
		{ { "", ARG_NAME }, { "uid", ARG_PICK, owners }, { "gid", ARG_PICK, groups } },
		do_chown },
	{ "fchown", 15,
		{ { "fd", ARG_FD }, { "uid", ARG_PICK, owners }, { "gid", ARG_PICK, groups } },
		do_fchown },
	{ "utimensat", 15,
		{ { "", ARG_NAME }, { "atime", ARG_PICK, seconds }, { "ns", ARG_PICK, nanoseconds },
			{ "mtime", ARG_PICK, seconds }, { "ns", ARG_PICK, nanoseconds } },
		do_utimens },
	{ "futimens", 12,
		{ { "fd", ARG_FD }, { "atime", ARG_PICK, seconds }, { "ns", ARG_PICK, nanoseconds },
			{ "mtime", ARG_PICK, seconds }, { "ns", ARG_PICK, nanoseconds } },
		do_futimens },
	{ "statfs", 8, { { "", ARG_NAME } }, do_statfs },
	{ "fstatfs", 6, { { "fd", ARG_FD } }, do_fstatfs },
	{ "ioctl_getflags", 6, { { "fd", ARG_FD } }, do_getflags },
	{ "ioctl_setflags", 6, { { "fd", ARG_FD }, { "flags", ARG_BITS, inode_flags } },
		do_setflags },
	{ "ioctl_fsgetxattr", 3, { { "fd", ARG_FD } }, do_getxflags },
	{ "ioctl_unknown", 3, { { "fd", ARG_FD } }, do_bad_ioctl },
	{ "name_to_handle_at", 4, { { "", ARG_NAME } }, do_handle },
	{ "get_seals", 3, { { "fd", ARG_FD } }, do_get_seals },
	{ "add_seals", 3, { { "fd", ARG_FD }, { "", ARG_PICK, seals } }, do_add_seals },
	{ 0 },
};

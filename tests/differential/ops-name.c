/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names: unlink, rename, link, listing, access. */
#include "executor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)
#define RENAME_WHITEOUT (1 << 2)
#endif

static const struct choice rename_flags[] = {
	{ "RENAME_NOREPLACE", RENAME_NOREPLACE },
	{ "RENAME_NOREPLACE", RENAME_NOREPLACE },
	{ "RENAME_EXCHANGE", RENAME_EXCHANGE },
	{ "RENAME_EXCHANGE", RENAME_EXCHANGE },
	{ "RENAME_NOREPLACE|RENAME_EXCHANGE", RENAME_NOREPLACE | RENAME_EXCHANGE },
	{ "0x80", 0x80 },
	{ 0 },
};

static const struct choice access_modes[] = {
	{ "F_OK", F_OK },
	{ "R_OK", R_OK },
	{ "W_OK", W_OK },
	{ "X_OK", X_OK },
	{ "R_OK|W_OK", R_OK | W_OK },
	{ "R_OK|W_OK|X_OK", R_OK | W_OK | X_OK },
	{ 0 },
};

static const struct choice access_flags[] = {
	{ "0", 0 },
	{ "AT_EACCESS", AT_EACCESS },
	{ "AT_SYMLINK_NOFOLLOW", AT_SYMLINK_NOFOLLOW },
	{ 0 },
};

static void do_unlink(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, unlink(name_at(arg[0])));
}

static void do_rmdir(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, rmdir(name_at(arg[0])));
}

static void do_rename(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, rename(name_at(arg[0]), name_at(arg[1])));
}

static void do_renameat2(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out,
		renameat2(AT_FDCWD, name_at(arg[0]), AT_FDCWD, name_at(arg[1]), (unsigned)arg[2]));
}

static void do_link(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, link(name_at(arg[0]), name_at(arg[1])));
}

static void do_linkat_empty(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	look(ctx, arg[0]);
	note(out, linkat(ctx->fds[arg[0]], "", AT_FDCWD, name_at(arg[1]), AT_EMPTY_PATH));
}

static void do_linkat_proc(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", ctx->fds[arg[0]]);
	look(ctx, arg[0]);
	note(out, linkat(AT_FDCWD, path, AT_FDCWD, name_at(arg[1]), AT_SYMLINK_FOLLOW));
}

static void do_readlink(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, readlink(name_at(arg[0]), ctx->io, MAX_IO));
}

static void do_access(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, syscall(SYS_faccessat2, AT_FDCWD, name_at(arg[0]), (int)arg[1], (int)arg[2]));
}

static int wanted(const struct dirent *entry)
{
	/* The mount's own directory beside the objects. */
	return strcmp(entry->d_name, ".shmtree") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void do_list(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct dirent **list;
	int count;

	(void)ctx;
	(void)arg;
	count = scandir(".", &list, wanted, by_name);
	note(out, count);
	for (int i = 0; i < count; i++) {
		char line[300];
		int len = snprintf(line, sizeof(line), "%s %d\n", list[i]->d_name, list[i]->d_type);

		note_data(out, line, (size_t)len);
		free(list[i]);
	}
	if (count >= 0)
		free(list);
}

const struct op ops_name[] = {
	{ "unlink", 35, { { "", ARG_NAME } }, do_unlink },
	{ "rmdir", 4, { { "", ARG_NAME } }, do_rmdir },
	{ "rename", 25, { { "", ARG_NAME }, { "", ARG_NAME } }, do_rename },
	{ "renameat2", 20, { { "", ARG_NAME }, { "", ARG_NAME }, { "", ARG_PICK, rename_flags } },
		do_renameat2 },
	{ "link", 20, { { "", ARG_NAME }, { "", ARG_NAME } }, do_link },
	{ "linkat_empty_path", 10, { { "fd", ARG_FD }, { "", ARG_NAME } }, do_linkat_empty },
	{ "linkat_proc_fd", 10, { { "fd", ARG_FD }, { "", ARG_NAME } }, do_linkat_proc },
	{ "readlink", 4, { { "", ARG_NAME } }, do_readlink },
	{ "access", 15,
		{ { "", ARG_NAME }, { "", ARG_PICK, access_modes },
			{ "", ARG_PICK, access_flags } },
		do_access },
	{ "list", 10, { { 0 } }, do_list },
	{ 0 },
};

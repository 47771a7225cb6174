/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes and access control lists. */
#include "executor.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

static const char *const attr_names[] = {
	"user.a",
	"user.b",
	"trusted.a",
	"security.a",
	"security.capability",
	ACL_ACCESS,
	ACL_DEFAULT,
	"system.other",
	"nonsense",
	"user.",
	"",
};

static const struct choice attrs[] = {
	{ "user.a", 0 },
	{ "user.a", 0 },
	{ "user.b", 1 },
	{ "trusted.a", 2 },
	{ "security.a", 3 },
	{ "security.capability", 4 },
	{ ACL_ACCESS, 5 },
	{ ACL_DEFAULT, 6 },
	{ "system.other", 7 },
	{ "nonsense", 8 },
	{ "user.", 9 },
	{ "\"\"", 10 },
	{ 0 },
};

static const struct choice acl_names[] = {
	{ ACL_ACCESS, 5 },
	{ ACL_ACCESS, 5 },
	{ ACL_ACCESS, 5 },
	{ ACL_DEFAULT, 6 },
	{ 0 },
};

static const struct choice value_sizes[] = {
	{ "0", 0 },
	{ "5", 5 },
	{ "100", 100 },
	{ "3000", 3000 },
	{ "20000", 20000 },
	{ "65536", 65536 },
	{ "65537", 65537 },
	{ 0 },
};

static const struct choice buffer_sizes[] = {
	{ "65536", 65536 },
	{ "65536", 65536 },
	{ "65536", 65536 },
	{ "0", 0 },
	{ "3", 3 },
	{ "200000", 200000 },
	{ 0 },
};

static const struct choice set_flags[] = {
	{ "0", 0 },
	{ "0", 0 },
	{ "0", 0 },
	{ "XATTR_CREATE", XATTR_CREATE },
	{ "XATTR_REPLACE", XATTR_REPLACE },
	{ "4", 4 },
	{ 0 },
};

/* user::rw-, one more user and one more group, group::, mask::, other:: */
static const struct choice acl_users[] = { { "2002", 2002 }, { "2003", 2003 }, { "0", 0 }, { 0 } };
static const struct choice acl_groups[] = { { "3001", 3001 }, { "2002", 2002 }, { 0 } };
static const struct choice acl_perms[] = {
	{ "r", 4 },
	{ "w", 2 },
	{ "x", 1 },
	{ 0 },
};
static const struct choice acl_shapes[] = {
	{ "full", 0 },
	{ "full", 0 },
	{ "full", 0 },
	{ "minimal", 1 },
	{ "without mask", 2 },
	{ "empty", 3 },
	{ "cut short", 4 },
	{ "wrong version", 5 },
	{ 0 },
};

static void do_set(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	fill_pattern(ctx->io, (size_t)arg[2], arg[3]);
	note(out,
		setxattr(name_at(arg[0]), attr_names[arg[1]], ctx->io, (size_t)arg[2],
			(int)arg[4]));
}

static void do_fset(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	fill_pattern(ctx->io, (size_t)arg[2], arg[3]);
	note(out,
		fsetxattr(ctx->fds[arg[0]], attr_names[arg[1]], ctx->io, (size_t)arg[2],
			(int)arg[4]));
}

/* A size of 0 asks for the length alone. */
static void note_value(struct context *ctx, struct outcome *out, ssize_t n, int64_t size)
{
	if (note(out, n) && size)
		note_data(out, ctx->io, (size_t)n);
}

static void do_get(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note_value(ctx, out, getxattr(name_at(arg[0]), attr_names[arg[1]], ctx->io, (size_t)arg[2]),
		arg[2]);
}

static void do_fget(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note_value(ctx, out,
		fgetxattr(ctx->fds[arg[0]], attr_names[arg[1]], ctx->io, (size_t)arg[2]), arg[2]);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The order of the names is nobody's promise. */
static void note_names(struct context *ctx, struct outcome *out, ssize_t n, int64_t size)
{
	const char *found[64];
	size_t count = 0;

	if (!note(out, n) || !size)
		return;
	for (const char *p = ctx->io; p < ctx->io + n && count < 64; p += strlen(p) + 1)
		found[count++] = p;
	qsort(found, count, sizeof(*found), compare_names);
	for (size_t i = 0; i < count; i++)
		note_data(out, found[i], strlen(found[i]) + 1);
}

static void do_list(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note_names(ctx, out, listxattr(name_at(arg[0]), ctx->io, (size_t)arg[1]), arg[1]);
}

static void do_flist(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note_names(ctx, out, flistxattr(ctx->fds[arg[0]], ctx->io, (size_t)arg[1]), arg[1]);
}

static void do_remove(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)ctx;
	note(out, removexattr(name_at(arg[0]), attr_names[arg[1]]));
}

static void do_fremove(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	note(out, fremovexattr(ctx->fds[arg[0]], attr_names[arg[1]]));
}

struct acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entries[6];
};

static size_t build_acl(struct acl *acl, int64_t shape, const int64_t *arg)
{
	uint16_t perm = (uint16_t)arg[4];
	uint32_t none = ACL_UNDEFINED_ID;
	struct posix_acl_xattr_entry full[] = {
		{ ACL_USER_OBJ, 6, none },
		{ ACL_USER, perm, (uint32_t)arg[2] },
		{ ACL_GROUP_OBJ, 4, none },
		{ ACL_GROUP, perm, (uint32_t)arg[3] },
		{ ACL_MASK, 6, none },
		{ ACL_OTHER, 0, none },
	};
	struct posix_acl_xattr_entry minimal[] = {
		{ ACL_USER_OBJ, 6, none },
		{ ACL_GROUP_OBJ, perm, none },
		{ ACL_OTHER, perm, none },
	};
	size_t count = 6;

	acl->head.a_version = shape == 5 ? 7 : POSIX_ACL_XATTR_VERSION;
	memcpy(acl->entries, full, sizeof(full));
	if (shape == 1) {
		memcpy(acl->entries, minimal, sizeof(minimal));
		count = 3;
	} else if (shape == 2) {
		acl->entries[4] = full[5];
		count = 5;
	} else if (shape == 3) {
		count = 0;
	}
	return sizeof(acl->head) + count * sizeof(*full) - (shape == 4 ? 3 : 0);
}

static void do_set_acl(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct acl acl;
	size_t size = build_acl(&acl, arg[5], arg);

	(void)ctx;
	note(out, setxattr(name_at(arg[0]), attr_names[arg[1]], &acl, size, 0));
}

const struct op ops_xattr[] = {
	{ "setxattr", 20,
		{ { "", ARG_NAME }, { "", ARG_PICK, attrs }, { "size", ARG_PICK, value_sizes },
			{ "pattern", ARG_SEED }, { "flags", ARG_PICK, set_flags } },
		do_set },
	{ "fsetxattr", 8,
		{ { "fd", ARG_FD }, { "", ARG_PICK, attrs }, { "size", ARG_PICK, value_sizes },
			{ "pattern", ARG_SEED }, { "flags", ARG_PICK, set_flags } },
		do_fset },
	{ "getxattr", 15,
		{ { "", ARG_NAME }, { "", ARG_PICK, attrs }, { "size", ARG_PICK, buffer_sizes } },
		do_get },
	{ "fgetxattr", 6,
		{ { "fd", ARG_FD }, { "", ARG_PICK, attrs }, { "size", ARG_PICK, buffer_sizes } },
		do_fget },
	{ "listxattr", 10, { { "", ARG_NAME }, { "size", ARG_PICK, buffer_sizes } }, do_list },
	{ "flistxattr", 5, { { "fd", ARG_FD }, { "size", ARG_PICK, buffer_sizes } }, do_flist },
	{ "removexattr", 10, { { "", ARG_NAME }, { "", ARG_PICK, attrs } }, do_remove },
	{ "fremovexattr", 4, { { "fd", ARG_FD }, { "", ARG_PICK, attrs } }, do_fremove },
	{ "set_acl", 25,
		{ { "", ARG_NAME }, { "", ARG_PICK, acl_names }, { "user", ARG_PICK, acl_users },
			{ "group", ARG_PICK, acl_groups }, { "perm", ARG_BITS, acl_perms },
			{ "", ARG_PICK, acl_shapes } },
		do_set_acl },
	{ 0 },
};

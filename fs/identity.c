/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "identity.h"

#include "util.h"

#include <glib.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The capabilities that setfsuid(2) takes and gives back: those that decide on files. */
#define FS_CAPS                                                                                    \
	(1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |    \
		1u << CAP_FSETID | 1u << CAP_LINUX_IMMUTABLE)

static bool privileged;

/* Supplementary groups, 65,536 at most (NGROUPS_MAX), and capabilities of a caller. */
struct caller {
	GArray *groups; /* of gid_t */
	uint64_t caps;
};

/*
 * setgroups(2), capset(2) by the raw system calls: they change this thread alone, while glibc's
 * setgroups() changes every thread of the process.
 */
static void set_groups(const gid_t *groups, size_t n)
{
	if (syscall(SYS_setgroups, n, groups) < 0)
		g_error("setgroups: %s", g_strerror(errno));
}

static void set_caps(uint32_t raise, uint32_t lower)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		g_error("capget: %s", g_strerror(errno));
	data[0].effective = (data[0].effective & ~lower) | (raise & data[0].permitted);
	if (syscall(SYS_capset, &head, data) < 0)
		g_error("capset: %s", g_strerror(errno));
}

/* setfsuid() reports failure only by not having happened. */
static void set_fs_ids(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	if ((uid_t)setfsuid(-1) != uid || (gid_t)setfsgid(-1) != gid)
		g_error("cannot take on user %u, group %u", uid, gid);
}

void identity_init(void)
{
	privileged = geteuid() == 0 && syscall(SYS_setgroups, 0, NULL) == 0;
}

bool identity_privileged(void)
{
	return privileged;
}

/* Capabilities count only where they are about this user namespace. */
static bool same_user_namespace(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	return stat("/proc/self/ns/user", &ours) == 0 && stat(path, &theirs) == 0 &&
		ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static void parse_groups(const char *list, GArray *groups)
{
	for (;;) {
		char *end;
		gid_t gid = strtoul(list, &end, 10);

		if (end == list)
			return;
		g_array_append_val(groups, gid);
		list = end;
	}
}

/*
 * The thread waits for us inside its system call, so that its credentials cannot change
 * meanwhile. If it was killed and its number is in use again, nobody is left to take the answer,
 * and its effective ids differ or its rights are equal to what is asked for: compare the fsuid.
 */
static bool read_caller(const struct fuse_ctx *ctx, struct caller *out)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", ctx->pid);
	g_autofree char *text = NULL;
	const char *uids, *groups, *caps;
	unsigned fsuid;

	if (ctx->pid == 0 || !g_file_get_contents(path, &text, NULL, NULL))
		return false;
	uids = strstr(text, "\nUid:");
	groups = strstr(text, "\nGroups:");
	caps = strstr(text, "\nCapEff:");
	if (!uids || !groups || !caps || sscanf(uids, "\nUid: %*u %*u %*u %u", &fsuid) != 1 ||
		fsuid != ctx->uid)
		return false;
	out->groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	parse_groups(groups + strlen("\nGroups:"), out->groups);
	out->caps = same_user_namespace(ctx->pid) ? strtoull(caps + strlen("\nCapEff:"), NULL, 16) : 0;
	return true;
}

void identity_begin(struct identity *id, fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	*id = (struct identity){ .req = req };
	if (!privileged || (ctx->uid == 0 && ctx->gid == 0))
		return;
	set_fs_ids(ctx->uid, ctx->gid);
	id->worn = true;
}

void identity_groups(struct identity *id)
{
	struct caller caller;

	if (!id->worn || id->full)
		return;
	id->full = true;
	if (!read_caller(fuse_req_ctx(id->req), &caller))
		return;
	set_groups((const gid_t *)caller.groups->data, caller.groups->len);
	if (caller.caps & FS_CAPS)
		set_caps(caller.caps & FS_CAPS, 0);
	g_array_unref(caller.groups);
}

void identity_begin_by_descriptor(struct identity *id, fuse_req_t req, bool clears)
{
	*id = (struct identity){ .req = req };
	if (!privileged || !clears)
		return;
	set_fs_ids(0, fuse_req_ctx(req)->gid);
	id->worn = true;
	identity_groups(id);
	identity_without_fsetid(id);
}

bool identity_retry(struct identity *id, int result)
{
	if (!id->worn || id->full || (result != -EPERM && result != -EACCES))
		return false;
	identity_groups(id);
	return true;
}

void identity_without_fsetid(struct identity *id)
{
	if (!privileged)
		return;
	set_caps(0, 1u << CAP_FSETID);
	id->limited = true;
}

void identity_end(struct identity *id)
{
	int saved = errno;

	if (id->full)
		set_groups(NULL, 0);
	/* Going from another fsuid to 0 gives the file capabilities back, whatever was on. */
	if (id->worn)
		set_fs_ids(0, 0);
	if (id->limited)
		set_caps(1u << CAP_FSETID, 0);
	id->worn = id->full = id->limited = false;
	errno = saved;
}

static bool is_member(const GArray *groups, gid_t gid)
{
	for (guint i = 0; i < groups->len; i++)
		if (g_array_index(groups, gid_t, i) == gid)
			return true;
	return false;
}

bool identity_permits(fuse_req_t req, const struct ownership *file, int want)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct caller caller;
	bool member, permitted;

	if (!privileged)
		return true;
	if (ctx->uid == file->uid && (file->mode >> 6 & want) == (mode_t)want)
		return true;
	if (!read_caller(ctx, &caller))
		return false;
	member = ctx->gid == file->gid || is_member(caller.groups, file->gid);
	permitted = ctx->uid != file->uid && (file->mode >> (member ? 3 : 0) & want) == (mode_t)want;
	permitted |= caller.caps & 1u << CAP_DAC_OVERRIDE ||
		(want == R_OK && caller.caps & 1u << CAP_DAC_READ_SEARCH);
	g_array_unref(caller.groups);
	return permitted;
}

void identity_umask(mode_t mask)
{
	static _Thread_local bool own;

	/* Threads of a process share one umask (and working directory) until told otherwise. */
	if (!own && unshare(CLONE_FS) < 0)
		g_error("unshare: %s", g_strerror(errno));
	own = true;
	umask(mask);
}

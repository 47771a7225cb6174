/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "identity.h"

#include "caller/caller.h"
#include "base/util.h"

#include <glib.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

/* The capabilities that setfsuid(2) takes and gives back: those that decide on files. */
#define FS_CAPS                                                                                    \
	(1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | \
		1u << CAP_FSETID | 1u << CAP_LINUX_IMMUTABLE)

static bool privileged;

/*
 * setgroups(2), capset(2) by the raw system calls: they change this thread alone, while glibc's
 * setgroups() changes every thread of the process.
 */
static void set_groups(const gid_t *groups, size_t n)
{
	if (syscall(SYS_setgroups, n, groups) < 0)
		g_error("setgroups: %s", g_strerror(errno));
}

static struct __user_cap_header_struct cap_header = { .version = _LINUX_CAPABILITY_VERSION_3 };

static void get_caps(struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
	if (syscall(SYS_capget, &cap_header, data) < 0)
		g_error("capget: %s", g_strerror(errno));
}

/* Of those that decide on files the thread has just these; more than it is permitted, it cannot. */
static void set_file_caps(uint32_t caps)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	get_caps(data);
	data[0].effective = (data[0].effective & ~FS_CAPS) | (caps & FS_CAPS & data[0].permitted);
	if (syscall(SYS_capset, &cap_header, data) < 0)
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

struct caller identity_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct caller){ .uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid };
}

static void read_rights(fuse_req_t req, struct caller_rights *out)
{
	const struct caller caller = identity_caller(req);

	caller_rights_read(&caller, out);
}

static void wear_groups(struct identity *id, struct caller_rights *out)
{
	read_rights(id->req, out);
	set_groups((const gid_t *)out->groups->data, out->groups->len);
	id->full = true;
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
	struct caller_rights rights;

	if (!privileged || id->full)
		return;
	wear_groups(id, &rights);
	/* A root of elsewhere, of whom nothing is known here: the kernel's check is what there is. */
	if (id->worn || rights.known) {
		set_file_caps(rights.effective);
		id->caps = true;
	}
	caller_rights_clear(&rights);
}

void identity_begin_by_descriptor(struct identity *id, fuse_req_t req, bool clears)
{
	struct caller_rights rights;

	*id = (struct identity){ .req = req };
	if (!privileged || !clears)
		return;
	set_fs_ids(0, fuse_req_ctx(req)->gid);
	id->worn = true;
	wear_groups(id, &rights);
	caller_rights_clear(&rights);
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
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (!privileged)
		return;
	get_caps(data);
	set_file_caps(data[0].effective & ~(1u << CAP_FSETID));
	id->caps = true;
}

void identity_end(struct identity *id)
{
	int saved = errno;

	if (id->full)
		set_groups(NULL, 0);
	/* Going from another fsuid to 0 gives the file capabilities back, whatever was on. */
	if (id->worn)
		set_fs_ids(0, 0);
	if (id->caps)
		set_file_caps(FS_CAPS);
	id->worn = id->full = id->caps = false;
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
	struct caller_rights rights;
	bool member, permitted;

	if (!privileged)
		return true;
	if (ctx->uid == file->uid && (file->mode >> 6 & want) == (mode_t)want)
		return true;
	read_rights(req, &rights);
	member = ctx->gid == file->gid || is_member(rights.groups, file->gid);
	permitted =
		ctx->uid != file->uid && (file->mode >> (member ? 3 : 0) & want) == (mode_t)want;
	permitted |= rights.effective & 1u << CAP_DAC_OVERRIDE ||
		(want == R_OK && rights.effective & 1u << CAP_DAC_READ_SEARCH);
	caller_rights_clear(&rights);
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

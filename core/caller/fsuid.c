/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/fsuid.h"

#include "base/tmpfs.h"
#include "base/patience/patience.h"
#include "base/util.h"
#include "caller/rights.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/stat.h>

/* The capabilities that setfsuid(2) takes and gives back: those that decide on files. */
#define FILE_CAPABILITIES                                                                          \
	(CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_DAC_READ_SEARCH) |  \
		CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID) | CAPABILITY(CAP_LINUX_IMMUTABLE))

/* What a request may need, for the daemon itself or because its caller has it. */
static const unsigned kept_capabilities[] = {
	CAP_BPF,             /* the programs of the census */
	CAP_CHOWN,           /* a caller may have it */
	CAP_DAC_OVERRIDE,    /* objects of all users; a caller may have it */
	CAP_DAC_READ_SEARCH, /* file handles; a caller may have it */
	CAP_FOWNER,          /* a caller may have it */
	CAP_FSETID,          /* a caller may have it */
	CAP_IPC_LOCK,        /* System V segments of huge pages */
	CAP_IPC_OWNER,       /* the state of all System V objects */
	CAP_LEASE,           /* whether anybody has another user's object open */
	CAP_LINUX_IMMUTABLE, /* a caller may have it */
	CAP_MKNOD,           /* a caller may have it */
	CAP_PERFMON,         /* the programs of the census */
	CAP_SETFCAP,         /* a caller may have it */
	CAP_SETGID,          /* to act as a caller */
	CAP_SETUID,          /* to act as a caller */
	CAP_SYS_ADMIN,       /* mount, passthrough, setns, trusted attributes */
	CAP_SYS_CHROOT,      /* setns to a mount namespace */
	CAP_SYS_PTRACE,      /* what processes map and hold */
};

static bool privileged;

static void set_groups(const gid_t *groups, size_t n)
{
	int r = thread_set_groups(groups, n);

	if (r < 0)
		g_error("setgroups: %s", g_strerror(-r));
}

/* Of the capabilities that decide on files the thread gets these and no others. */
static void set_file_capabilities(uint64_t wanted)
{
	thread_set_capabilities_among(FILE_CAPABILITIES, wanted);
}

void fsuid_init(void)
{
	privileged = geteuid() == 0 && thread_set_groups(NULL, 0) == 0;
}

/*
 * Without CAP_SYS_RESOURCE limits, and the quotas of a tmpfs, hold for what is done for callers. A normal
 * user's daemon keeps what it has: it executes fusermount3, which must gain privileges.
 */
void fsuid_settle(void)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(kept_capabilities); i++)
		kept |= CAPABILITY(kept_capabilities[i]);
	if (privileged)
		process_keep_capabilities(kept);
}

bool fsuid_privileged(void)
{
	return privileged;
}

/* The thread has none of its own. */
static void take_on_groups(struct fsuid *id, const struct caller_rights *rights)
{
	if (rights->groups->len > 0)
		set_groups((const gid_t *)rights->groups->data, rights->groups->len);
	id->member = rights->groups->len > 0;
	id->groups = true;
}

static void take_groups(struct fsuid *id, struct caller_rights *out)
{
	caller_rights_read_here(&id->caller, out);
	take_on_groups(id, out);
}

void fsuid_begin(struct fsuid *id, const struct caller *caller)
{
	*id = (struct fsuid){ .caller = *caller };
	if (!privileged)
		return;
	/* For user 0 setfsuid(2) takes no capability away: it may be a root that has none. */
	if (caller->uid == 0) {
		set_file_capabilities(0);
		id->capabilities = true;
	}
	id->changed = thread_change_file_ids(caller->uid, caller->gid);
	id->ids = true;
}

void fsuid_take_groups(struct fsuid *id)
{
	auto_rights rights = { 0 };

	if (!privileged || id->groups)
		return;
	take_groups(id, &rights);
	set_file_capabilities(rights.effective);
	id->capabilities = true;
}

static int begin_with(struct fsuid *id, const struct caller *caller,
	const struct caller_rights *rights, int fd)
{
	uint64_t capabilities = rights->effective;
	struct stat st;

	if (!rights->known)
		return -EACCES;
	if (fd >= 0) {
		if (fstat(fd, &st) < 0)
			return -errno;
		capabilities = caller_rights_over(rights, st.st_uid, st.st_gid);
	}
	*id = (struct fsuid){ .caller = *caller, .ids = true, .capabilities = true };
	id->changed = thread_change_file_ids(caller->uid, caller->gid);
	take_on_groups(id, rights);
	set_file_capabilities(capabilities);
	return 0;
}

int fsuid_begin_whole(struct fsuid *id, const struct caller *caller, int fd)
{
	auto_rights rights = { 0 };

	*id = (struct fsuid){ .caller = *caller };
	if (!privileged)
		return 0;
	if (fd >= 0)
		caller_rights_read(caller, &rights);
	else
		caller_rights_read_here(caller, &rights);
	return begin_with(id, caller, &rights, fd);
}

static int ask(int fd, int want)
{
	return faccessat(fd, "", want, AT_EACCESS | AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int64_t changed_at(const struct stat *st)
{
	return st->st_ctim.tv_sec * INT64_C(1000000000) + st->st_ctim.tv_nsec;
}

/* Whether everybody may; false if that changes meanwhile. */
static bool all_may(int fd, int want)
{
	mode_t bits = want << 6 | want << 3 | want;
	struct stat before, after;

	return fstat(fd, &before) == 0 && (before.st_mode & bits) == bits && !tmpfs_has_acl(fd) &&
		fstat(fd, &after) == 0 && after.st_mode == before.st_mode &&
		changed_at(&after) == changed_at(&before);
}

int fsuid_may(const struct caller *caller, int fd, int want)
{
	struct fsuid id;
	int r;

	if (all_may(fd, want))
		return 0;
	r = fsuid_begin_whole(&id, caller, fd);
	if (r == 0)
		r = ask(fd, want);
	fsuid_end(&id);
	return r;
}

int fsuid_access(const struct caller *caller, int fd, int want)
{
	struct fsuid id = { .caller = *caller };
	auto_rights rights = { 0 };
	int r = 0;

	if (privileged) {
		caller_rights_read_for_access(caller, want, &rights);
		r = begin_with(&id, caller, &rights, fd);
	}
	if (r == 0)
		r = ask(fd, want);
	fsuid_end(&id);
	return r;
}

void fsuid_begin_by_descriptor(struct fsuid *id, const struct caller *caller, bool clears)
{
	auto_rights rights = { 0 };

	*id = (struct fsuid){ .caller = *caller };
	if (!privileged || !clears)
		return;
	id->changed = thread_change_file_ids(0, caller->gid);
	id->ids = true;
	take_groups(id, &rights);
	fsuid_without_fsetid(id);
}

bool fsuid_retry(struct fsuid *id, int result)
{
	if (!id->ids || id->groups || (result != -EPERM && result != -EACCES))
		return false;
	fsuid_take_groups(id);
	return true;
}

void fsuid_without_fsetid(struct fsuid *id)
{
	if (!privileged)
		return;
	set_file_capabilities(thread_capabilities() & ~CAPABILITY(CAP_FSETID));
	id->capabilities = true;
}

void fsuid_end(struct fsuid *id)
{
	int saved = errno;

	if (id->member)
		set_groups(NULL, 0);
	/* Going from another fsuid to 0 gives the file capabilities back, whatever was on. */
	if (id->changed)
		thread_set_file_ids(0, 0);
	if (id->capabilities)
		set_file_capabilities(FILE_CAPABILITIES);
	*id = (struct fsuid){ .caller = id->caller };
	errno = saved;
}

static bool capabilities_permit(uint64_t effective, mode_t mode, int want)
{
	bool reads = S_ISDIR(mode) ? !(want & W_OK) : want == R_OK;

	if (reads && effective & CAPABILITY(CAP_DAC_READ_SEARCH))
		return true;
	/* Nobody may execute what is no program to anybody. */
	return effective & CAPABILITY(CAP_DAC_OVERRIDE) &&
		(S_ISDIR(mode) || !(want & X_OK) || mode & (S_IXUSR | S_IXGRP | S_IXOTH));
}

/* Of whom nothing is known, may be in the group or not: both must be permitted. */
static bool mode_permits(const struct caller *caller, const struct caller_rights *rights,
	const struct ownership *file, int want)
{
	bool member = caller->gid == file->gid || caller_rights_in_group(rights, file->gid);
	mode_t granted = file->mode >> (member ? 3 : 0);

	if (caller->uid == file->uid)
		return false; /* the owner's own bits did not */
	if (!rights->known && !member)
		granted &= file->mode >> 3;
	return (granted & want) == (mode_t)want;
}

static bool permits(const struct caller *caller, const struct caller_rights *rights,
	const struct ownership *file, int want)
{
	uint64_t capabilities = caller_rights_over(rights, file->uid, file->gid);

	return (caller->uid == file->uid && (file->mode >> 6 & want) == (mode_t)want) ||
		mode_permits(caller, rights, file, want) ||
		capabilities_permit(capabilities, file->mode, want);
}

bool fsuid_permits(const struct caller *caller, const struct ownership *file, int want)
{
	auto_rights rights = { 0 };

	if (!privileged || (caller->uid == file->uid && (file->mode >> 6 & want) == (mode_t)want))
		return true;
	caller_rights_read(caller, &rights);
	return permits(caller, &rights, file, want);
}

bool fsuid_access_permits(const struct caller *caller, const struct ownership *file, int want)
{
	auto_rights rights = { 0 };

	if (!privileged)
		return true;
	caller_rights_read_for_access(caller, want, &rights);
	return permits(caller, &rights, file, want);
}

static bool owns(const struct caller *caller, const struct ownership *file, uint64_t or_has)
{
	auto_rights rights = { 0 };

	if (!privileged || caller->uid == file->uid)
		return true;
	caller_rights_read(caller, &rights);
	return caller_rights_over(&rights, file->uid, file->gid) & or_has;
}

bool fsuid_owns(const struct caller *caller, const struct ownership *file)
{
	return owns(caller, file, CAPABILITY(CAP_FOWNER));
}

bool fsuid_may_strip(const struct caller *caller, const struct ownership *file)
{
	return owns(caller, file,
		CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_SETFCAP));
}

void fsuid_umask(mode_t mask)
{
	static _Thread_local bool own;

	/* Threads of a process share one umask (and working directory) until told otherwise. */
	for (struct patience p = { 0 }; !own && unshare(CLONE_FS) < 0;)
		if (!patience_waits(&p, errno))
			g_error("unshare: %s", g_strerror(errno));
	own = true;
	umask(mask);
}

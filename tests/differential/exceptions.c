/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each line is a difference that FUSE imposes, with its reason; it has to leave both sides in the
 * same state. What is not here is an error. Two more classes are foretold rather than excepted,
 * because the call must not be made on the native side: names that are not regular files
 * (ops-open.c) and mappings without passthrough (ops-map.c).
 */
#include "exceptions.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
	const char *op; /* NULL: any */
	int native, mount;
	bool protected_files;
	const char *reason;
} errnos[] = {
	{ "access", EPERM, 0, true, "the kernel's FUSE inode does not know that it is immutable" },
	{ "setxattr", EPERM, 0, true, "as above, when there is nothing to change" },
	{ "fsetxattr", EPERM, 0, true, "as above, when there is nothing to change" },
	{ "removexattr", EPERM, 0, true, "as above, when there is nothing to change" },
	{ "fremovexattr", EPERM, 0, true, "as above, when there is nothing to change" },
	{ "set_acl", EPERM, 0, true, "as above, when there is nothing to change" },
	{ "get_seals", 0, EINVAL, false, "the kernel looks for seals in an inode of tmpfs alone" },
	{ "add_seals", EPERM, EINVAL, false,
		"as above, and a file of a mounted tmpfs refuses every seal" },
};

/* Where the daemon checks permissions: mostly two reasons to refuse, of which the kernel's comes first. */
static const struct {
	const char *op; /* NULL: any */
	int native, mount;
	const char *reason;
} orders[] = {
	{ "open", EACCES, EPERM, "for O_NOATIME the kernel asks first whose the file is" },
	{ "reopen", EACCES, EPERM, "as above" },
	{ "rmdir", EPERM, ENOTDIR,
		"the kernel does not know that the directory is sticky, and asks what the name "
		"is" },
	{ "rmdir", EACCES, ENOTDIR, "the kernel asks first what the name is" },
	{ "create", EACCES, EISDIR, "the kernel asks first whether the path ends in a slash" },
	{ "open", EACCES, EISDIR, "as above, with O_CREAT" },
	{ "linkat_empty_path", EPERM, ENOENT, "the kernel asks first for a link count of 0" },
	{ "linkat_proc_fd", EPERM, ENOENT, "as above" },
	{ "truncate", EACCES, EFBIG, "the kernel asks first for RLIMIT_FSIZE, and sends SIGXFSZ" },
	{ NULL, EACCES, ENOMEM, "a LOOKUP that is refused otherwise unmounts what is below" },
};

bool permissions_by_daemon;

static const struct {
	const char *name, *field;
	const char *reason;
} fields[] = {
	{ ".", "nlink", "the mount's root has the directory .shmtree" },
	{ ".", "size", "as above" },
};

bool errno_excepted(const char *op, int native_errno, int mount_errno, bool protected_files)
{
	/* What else is wrong with the call comes to light first where immutability is not known. */
	if (protected_files && native_errno == EPERM && mount_errno)
		return true;
	for (size_t i = 0; i < sizeof(errnos) / sizeof(*errnos); i++) {
		if ((!errnos[i].op || strcmp(errnos[i].op, op) == 0) &&
			errnos[i].native == native_errno && errnos[i].mount == mount_errno &&
			(protected_files || !errnos[i].protected_files))
			return true;
	}
	for (size_t i = 0; permissions_by_daemon && i < sizeof(orders) / sizeof(*orders); i++) {
		if ((!orders[i].op || strcmp(orders[i].op, op) == 0) &&
			orders[i].native == native_errno && orders[i].mount == mount_errno)
			return true;
	}
	return false;
}

bool holder_excepted(bool ofd, bool outside, pid_t native_holder, pid_t mount_holder)
{
	/* FUSE does not tell the daemon OFD locks from record locks: an OFD lock has a holder there. */
	if (native_holder == -1 && !outside)
		return true;
	/* The kernel marks FUSE's answer to F_OFD_GETLK an OFD lock, whatever lock it is. */
	if (ofd && !outside)
		return mount_holder == -1;
	/* The locks taken through the mount are the daemon's OFD locks. */
	return outside && mount_holder == -1;
}

bool field_excepted(const char *name, const char *field)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (strcmp(fields[i].name, name) == 0 && strcmp(fields[i].field, field) == 0)
			return true;
	}
	return false;
}

static const char *ignored[100];
static size_t ignored_count;

void ignore_kind(const char *kind)
{
	if (ignored_count < sizeof(ignored) / sizeof(*ignored))
		ignored[ignored_count++] = kind;
}

bool is_ignored(const char *kind)
{
	for (size_t i = 0; i < ignored_count; i++) {
		if (strcmp(ignored[i], kind) == 0)
			return true;
	}
	return false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who checks permissions: the kernel before it asks the daemon (`default_permissions`), or the daemon.
 *
 * The kernel asks for a file's attributes before it lets anybody do anything, which is a third of all requests. With
 * `-o permissions=daemon` it does not. Then the daemon does what it is asked with all rights of the caller, so that
 * the tmpfs decides (fsuid.h), and what no system call decides is asked here. Where the kernel checks, all of this
 * permits everything, and calls are made as ever.
 *
 * What must hold for the daemon to check is in permit.c; where it does not, the kernel checks all the same.
 */
#pragma once

#include "daemon/fs.h"
#include "daemon/identity.h"

/* The kernel's FMODE_EXEC, which it sends with the flags of open(2): the caller is execve(2). */
#define OPEN_TO_EXECUTE 0x20

/*
 * The answer to a LOOKUP that the caller may not make. Any other error than this one and EINTR has the kernel drop
 * the name, for all, together with whatever is mounted below it: a stranger could unmount what is root's.
 */
#define LOOKUP_REFUSED (-ENOMEM)

/*
 * Decides who checks, once SOURCE is open and before the mount is made: fills in fs->kernel_permits and
 * fs->daemon_permits_not.
 */
void permit_choose(struct fs *fs);

/*
 * identity_begin(); if the daemon checks, fsuid_begin_whole() for the file behind `fd`, or for names (PERMIT_NAMES).
 * 0, or -EACCES if the caller's rights are not known. fsuid_end() in both cases.
 */
#define PERMIT_NAMES (-1)
int permit_begin(const struct fs *fs, struct fsuid *id, fuse_req_t req, int fd);

/* Whether the caller may search the root of the mount, which SOURCE decides: 0 or a negative errno. */
int permit_search(const struct fs *fs, fuse_req_t req);

/* Whether the caller may `want` (R_OK, W_OK, X_OK) the file behind `fd`: 0 or a negative errno. */
int permit_file(const struct fs *fs, fuse_req_t req, int fd, int want);

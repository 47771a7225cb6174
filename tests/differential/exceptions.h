/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the mount differs from tmpfs and the manual page says so. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* The mount is one with -o permissions=daemon, which has differences of its own. */
extern bool permissions_by_daemon;

/*
 * Whether it is documented that the call op answers mount_errno on the mount while tmpfs answers
 * native_errno (0: success). protected_files: some file has been made immutable or append-only.
 */
bool errno_excepted(const char *op, int native_errno, int mount_errno, bool protected_files);

/*
 * Whether it is documented that F_GETLK, or F_OFD_GETLK if ofd, asked outside the mount or through it,
 * names another holder. -1: it was an OFD lock, or the holder cannot be told.
 */
bool holder_excepted(bool ofd, bool outside, pid_t native_holder, pid_t mount_holder);

/* Whether it is documented that stat shows another value for that field of the file. */
bool field_excepted(const char *name, const char *field);

/* Takes a kind of difference (difference.kind) for known, to look for others behind it. */
void ignore_kind(const char *kind);
bool is_ignored(const char *kind);

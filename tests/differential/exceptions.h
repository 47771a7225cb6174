/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the mount differs from tmpfs and the manual page says so. */
#pragma once

#include <stdbool.h>

/*
 * Whether it is documented that the call op answers mount_errno on the mount while tmpfs answers
 * native_errno (0: success). protected_files: some file has been made immutable or append-only.
 */
bool errno_excepted(const char *op, int native_errno, int mount_errno, bool protected_files);

/* Whether it is documented that stat shows another value for that field of the file. */
bool field_excepted(const char *name, const char *field);

/* Takes a kind of difference (difference.kind) for known, to look for others behind it. */
void ignore_kind(const char *kind);
bool is_ignored(const char *kind);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

/*
 * Makes a tmpfs that is mounted nowhere, and gone with its last open file: a descriptor of its root
 * directory, or a negative errno (fsopen(2), CAP_SYS_ADMIN). `size`: as the mount option, or NULL.
 */
int tmpfs_new(const char *size);

/* Whether the file behind `fd` (O_PATH will do) has an ACL, beyond what its mode says; true if that cannot be told. */
bool tmpfs_has_acl(int fd);

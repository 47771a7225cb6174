/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The attributes of a mount (MOUNT_ATTR_*): read-only, without set-user-ID files, and so on. */
#pragma once

#include "daemon/fs.h"

/* What SOURCE forbids, and the mount must therefore: set-user-ID files, devices, programs. */
unsigned attributes_of_source(const struct fs *fs);

/*
 * What the command line's options for libfuse and the kernel ask for: nosuid and nodev unless they say
 * otherwise. False if one of them is no attribute.
 */
bool attributes_of_options(const struct fuse_args *args, unsigned *attributes);

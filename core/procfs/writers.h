/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which process has a file open for writing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Whether a descriptor of that process, or of that thread, can write to the file. It asks no file system:
 * the file may be one of the mount that the caller itself serves. False if /proc cannot tell.
 */
bool process_can_write(const char *proc, pid_t pid, uint64_t dev, uint64_t ino);

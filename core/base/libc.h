/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that glibc has and other C libraries lack: musl has none of these, or only lately. Where
 * meson.build does not find one, it is made of the system call.
 */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef HAVE_FSOPEN
#include <linux/mount.h>

static inline int fsopen(const char *fstype, unsigned flags)
{
	return syscall(SYS_fsopen, fstype, flags);
}

static inline int fsconfig(int fd, unsigned command, const char *key, const void *value, int aux)
{
	return syscall(SYS_fsconfig, fd, command, key, value, aux);
}

static inline int fsmount(int fd, unsigned flags, unsigned attributes)
{
	return syscall(SYS_fsmount, fd, flags, attributes);
}

static inline int move_mount(int from_dir, const char *from, int to_dir, const char *to,
	unsigned flags)
{
	return syscall(SYS_move_mount, from_dir, from, to_dir, to, flags);
}
#endif

#ifndef HAVE_PWRITEV2
#include <linux/fs.h>

/* The kernel takes the offset in two words of its own size. */
static inline ssize_t pwritev2(int fd, const struct iovec *vector, int count, off_t offset,
	int flags)
{
	return syscall(SYS_pwritev2, fd, vector, (long)count, (long)offset,
		(long)((uint64_t)offset >> 16 >> 16), flags);
}
#endif

#ifndef HAVE_RENAMEAT2
static inline int renameat2(int old_dir, const char *old, int new_dir, const char *new,
	unsigned flags)
{
	return syscall(SYS_renameat2, old_dir, old, new_dir, new, flags);
}
#endif

/* timer_create(2) has this name for it, glibc has not. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

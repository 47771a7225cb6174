/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocates memory for a caller at the caller's expense.
 *
 * The kernel charges a page to the memory control group of the process that allocates it. Where the
 * daemon would allocate for a caller of another group, a child process allocates in its stead, which
 * moves into the caller's group first; so that group's limit holds, and its own processes are those
 * that lack the memory.
 */
#pragma once

#include <sys/types.h>

/*
 * fallocate(2) for the process `pid`. 0 or a negative errno of fallocate(2); -ENOMEM where the group's
 * limit ended the child; -EINTR where the group is frozen; -EOPNOTSUPP where the group cannot be had (a process that the daemon does not
 * see, a group outside its cgroup namespace): then posix_fallocate(3) writes instead, as the caller.
 * What frees memory, or is asked of a daemon without privileges, is done at once.
 */
int memory_cgroup_fallocate(pid_t pid, int fd, int mode, off_t offset, off_t length);

/* The same by a child in the group of that directory, of either version of control groups. */
int memory_cgroup_fallocate_in(const char *directory, int fd, int mode, off_t offset, off_t length);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IPC namespaces that live without a process, because a bind mount of their file in nsfs or an open
 * descriptor of it keeps them: container engines pin namespaces so. Their segments take memory, and no
 * process shows them.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Calls `visit` for each IPC namespace mounted somewhere, in the text of a process's mountinfo. Pure. */
void held_each_mounted(const char *mountinfo, void (*visit)(uint32_t id, void *data), void *data);

/* The IPC namespace that a process, whose directory `dir` is, has open as `fd`; 0 if it is something else. */
uint32_t held_number(int dir, int fd);

/* Calls `visit` for each descriptor of an IPC namespace that the process has, whose directory `dir` is. */
void held_each_descriptor(int dir, void (*visit)(uint32_t id, int fd, void *data), void *data);

/*
 * Open the IPC namespace with that inode number, for setns(2): the one that is mounted in the mount
 * namespace of a process, or that a process has open as `fd`. `dir` is the process's directory. A
 * descriptor that the caller closes, or -ENOENT. They ask no file system that may not answer.
 */
int held_open_mounted(int dir, uint32_t id);
int held_open_descriptor(int dir, int fd, uint32_t id);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends the time for which an unlinked object keeps its descriptor, where the kernel may remember it
 * for long (node.h): a thread calls back for each inode when its time is up.
 */
#pragma once

#include <stdint.h>

struct unlinked_grace;

/* `expire(data, ino)` is called by the thread, which holds no lock then. */
struct unlinked_grace *unlinked_grace_new(void (*expire)(void *data, uint64_t ino), void *data);

/* Waits for a call of `expire` under way; makes none for what is left. */
void unlinked_grace_free(struct unlinked_grace *grace);

/* Calls back for the inode half a second from now. From any thread. */
void unlinked_grace_add(struct unlinked_grace *grace, uint64_t ino);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has the kernel forget what it looked up some time ago and nobody uses. By itself it keeps each name,
 * also of what is gone, until it needs the memory, and the daemon has to keep a node for each.
 *
 * From Linux 6.18 on the daemon can ask for it (FUSE_NOTIFY_PRUNE). The kernel then drops a name, unless a
 * file, a working directory, a mount or a name below it is in use, and waits for no lock of a directory.
 * FUSE_NOTIFY_INVAL_ENTRY, which is older, does: a thread that sends it may wait for a request that the
 * daemon has not answered, and if the daemon is killed then, it does not end. So does one that drops the
 * last name of a file of which a page is being read: a private mapping reads ahead, also for a process
 * that has been killed meanwhile. The file is open until that is answered, and what is open is left out.
 */
#pragma once

#include "node/node.h"

struct fs;

/* Has a worker do it every few seconds, while there are many nodes. From any thread, without locks. */
void prune_if_due(struct fs *fs);

/*
 * Whether the kernel is to forget the node, if it can: it was not looked up of late, is not open, and is
 * none of the few that are always there. `now`: node_clock(). The table's lock is held.
 */
bool prune_is_old(const struct node *node, uint32_t now);

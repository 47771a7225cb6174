/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accounts: the user who answers for what a caller takes of the daemon. A user can make a user namespace
 * and have many user ids in it (subordinate ids, rootless containers): what they take in all is theirs.
 */
#pragma once

#include "caller/caller.h"

#include <stdint.h>

/*
 * The owner of the outermost user namespace, below the daemon's, that the caller's process is in; where
 * that is root, who makes containers for others, a number of that namespace alone. A caller of the
 * daemon's own user namespace, or one of which that cannot be told, answers for itself.
 */
uint64_t account_of(const struct caller *caller);

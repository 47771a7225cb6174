/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System V message queues and semaphore sets: .shmtree/msg/MSQID and .shmtree/sem/SEMID. They are
 * not memory, but the same programs leave them behind, and the same users clean them up.
 */
#pragma once

#include "kinds/sysvipc.h"

extern const struct kind kind_msg, kind_sem;

/* What each() of the kind does, from the text of /proc/sysvipc/msg or sem. Pure. */
int sysv_parse_msg(const char *text, item_visitor visit, void *data);
int sysv_parse_sem(const char *text, item_visitor visit, void *data);

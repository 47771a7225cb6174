/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "posix-mq.h"
#include "posix.h"
#include "sysv-other.h"
#include "sysv.h"
#include "unlinked.h"

const struct kind *const kinds[] = { &kind_posix, &kind_sysv, &kind_unlinked,
	&kind_mqueue, &kind_msg, &kind_sem, NULL };

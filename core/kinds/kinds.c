/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/posix-mqueue.h"
#include "kinds/posix.h"
#include "kinds/sysv-other.h"
#include "kinds/sysv.h"
#include "kinds/unlinked.h"

const struct kind *const kinds[] = { &kind_posix, &kind_sysv, &kind_unlinked, &kind_mqueue,
	&kind_msg, &kind_sem, NULL };

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "posix.h"
#include "sysv.h"
#include "unlinked.h"

const struct kind *const kinds[] = { &kind_posix, &kind_sysv, &kind_unlinked, NULL };

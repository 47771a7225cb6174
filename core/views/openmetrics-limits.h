/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits, and how much of each is used, as metrics. */
#pragma once

#include "kinds/realms.h"

#include <glib.h>

/* Appends the families, of the daemon's own realm and of those of the others that are nearest to a limit. */
void openmetrics_limits(GString *out, const struct realm *own, const GArray *others);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bus errors in the file `metrics`: how many there were, by cause. */
#pragma once

#include "faults/faults.h"

#include <glib.h>

/* Appends the families. Where bus errors are not seen nothing is counted, and there are no samples. */
void openmetrics_faults(GString *out, struct faults *faults);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole as metrics (openmetrics-format.h): the file `metrics`. Sums by kind, state, user, unit and namespace,
 * the limits, the state of the census, and the largest segments. Its size is bounded, however many segments,
 * users, units and namespaces there are: it is read every few seconds, also in the incident that it is to
 * report. Of other namespaces there are sums and limits, no names.
 */
#pragma once

#include "base/packed.h"
#include "kinds/realm.h"

#include <glib.h>

/* How many segments have samples of their own, unless an option says otherwise. */
#define OPENMETRICS_LARGEST 50

struct faults;

/*
 * Appends the text, with samples of the `largest` segments. `faults` may be NULL. Call it as segments_take(): 0,
 * or its error.
 */
int openmetrics_show(const struct realm *own, struct faults *faults, unsigned largest,
	struct budget *budget, GString *out);

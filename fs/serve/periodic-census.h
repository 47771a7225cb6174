/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * With -o census_interval=SECONDS a thread makes a census every so often, so that what is remembered of
 * passes (counts/past.h: who used a segment last, since when nothing does) does not depend on when
 * users ask. Without the option there is no such thread, and an idle daemon wakes no processor.
 */
#pragma once

#include "daemon/fs.h"

/* Starts the thread, if the option was given. If it cannot be had, the log says so. */
void periodic_census_start(struct fs *fs);

/*
 * Ends the thread and frees what it had. False if it has not ended after two seconds, because the pass that
 * it waits for does not: then it goes on, and what it uses must not be freed.
 */
bool periodic_census_stop(struct fs *fs);

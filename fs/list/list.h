/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `shmtree --list [SOURCE] [options]`: prints the rows of the file `segments`, once, without a mount. They are
 * taken by the same functions, from a census of this process's own.
 */
#pragma once

#include "daemon/fs.h"

/* Exit statuses, beside EXIT_SUCCESS and EXIT_FAILURE. */
#define LIST_OVER_LIMIT 2

/* Whether the command line asks for it. */
bool list_wanted(int argc, char **argv);

/* Does it, and returns the exit status. `fs` is empty, and is filled in as far as main() has to clear. */
int list_main(struct fs *fs, int argc, char **argv);

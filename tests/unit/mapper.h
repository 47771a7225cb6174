/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The helper program `mapper` (tests/helpers): a process that uses a file as it is told. */
#pragma once

#include <stdio.h>
#include <sys/types.h>

struct mapper {
	pid_t pid;
	FILE *orders, *answers;
};

/* Starts one on a file, `mode` "r" or "rw". */
void mapper_start(struct mapper *mapper, const char *path, const char *mode);

/* Gives an order and returns the number answered, or a negative errno. */
long mapper_order(struct mapper *mapper, const char *order);

/* Ends it, if it is not ended yet, and returns when it and all it has started are gone. */
void mapper_end(struct mapper *mapper);

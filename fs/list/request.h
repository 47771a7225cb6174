/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the command line of `shmtree --list` asks for. */
#pragma once

#include "daemon/options.h"
#include "list/filter.h"

struct list_request {
	bool json, human;
	GPtrArray *columns;             /* of const struct list_column *; NULL: all that JSON has */
	const struct list_column *sort; /* NULL: the fixed order */
	bool backwards;                 /* the other way round */
	struct list_filter *where;      /* NULL: all rows */
	double percent;                 /* fail over that; 0: not asked for */
	int64_t bytes;                  /* likewise; -1 */
};

/*
 * Fills `out`, and of the options those that matter without a mount. 0, or -1 if one line was printed;
 * list_request_clear() and options_free() afterwards.
 */
int list_request_parse(int argc, char **argv, struct list_request *out, struct options *options);
void list_request_clear(struct list_request *request);

/* Reads the limit of --fail-over: 90% or a number of bytes. False if it is neither. Pure. */
bool list_limit_parse(const char *text, double *percent, int64_t *bytes);

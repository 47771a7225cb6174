/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two back ends have in common that read every process anew in each pass.
 */
#pragma once

#include "census/pass/backend.h"
#include "procfs/maps.h"

typedef int (*maps_reader)(int fd, const struct maps_sink *sink);

struct scan;

struct scan *scan_new(const struct census_source *source, maps_reader read_maps);
void scan_free(void *scan);
const char *scan_caveat(void *scan);
const char *scan_incomplete_view(void *scan);

/* The `pass` of a back end: see struct census_backend. */
int scan_pass(struct scan *scan, struct spaces *spaces, unsigned facets,
	struct census_tally *tally);

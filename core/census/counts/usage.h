/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a census counts. */
#pragma once

#include <stdint.h>

/* What a pass looks at. Descriptors cost a walk of every descriptor table. */
enum census_facet {
	CENSUS_MAPPINGS = 1 << 0,
	CENSUS_DESCRIPTORS = 1 << 1,
	CENSUS_OBJECTS = 1 << 2, /* what the kernel counts on the objects themselves, if it tells */
	CENSUS_ALL = CENSUS_MAPPINGS | CENSUS_DESCRIPTORS | CENSUS_OBJECTS,
	CENSUS_FACTS = 1 << 3, /* with these: what census_each_named() tells */
};

/* Counts of one segment. */
struct usage {
	uint64_t mappings;  /* VMAs, over all address spaces */
	uint64_t processes; /* address spaces with at least one */
	uint64_t openers;   /* descriptors (only after CENSUS_DESCRIPTORS) */
};

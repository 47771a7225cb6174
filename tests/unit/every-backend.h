/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks each back end of the census that works here, and a memfd of this process to ask about. One test
 * at a time uses it.
 */
#pragma once

#include "census/census.h"

#include <glib.h>

#define BOTH (CENSUS_MAPPINGS | CENSUS_DESCRIPTORS)
#define PAGE 4096

#define BACKENDS_MAX 3
extern struct census *censuses[BACKENDS_MAX];
extern int n_censuses;

#define EACH_CENSUS(census)                                                                        \
	for (struct census **at_ = censuses, *census;                                              \
		at_ < censuses + n_censuses && (census = *at_); at_++)

/* Opens a census by each back end; `shm_dev` and `self` as in struct census_config. */
void open_all(uint64_t shm_dev, pid_t self);
void close_all(void);

/* The counts of a segment after a pass of mappings and descriptors. */
struct usage ask(struct census *census, const struct segment_key *segment);

/* Fails with the name of each back end that counts otherwise. */
void assert_all(unsigned line, const char *file, const struct segment_key *segment,
	struct usage expected);
#define ASSERT_ALL(key, mappings, processes, openers)                                              \
	assert_all(__LINE__, __FILE__, key, (struct usage){ mappings, processes, openers })

struct segment_key key_of(int fd, enum segment_class class);

/* -1 and unset, but between make_memfd() and close_memfd(). */
extern int memfd;
extern struct segment_key key;

/* Makes a memfd of four pages. */
void make_memfd(void);
void close_memfd(void);

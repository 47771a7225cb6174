/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inputs that a fuzz target is kept with (tests/fuzz), given to it by the unit tests as well. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Each input of that directory as it is, cut short anywhere, and with each byte changed to each of
 * `to`. Returns how many inputs there were.
 */
int corpus_replay(const char *directory, const char *to,
	int (*target)(const uint8_t *data, size_t size));

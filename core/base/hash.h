/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hash of a number. */
#pragma once

#include <stdint.h>

/*
 * Multiplies by 2^64 divided by the golden ratio (Knuth's multiplicative hashing): numbers that are
 * close together get results that are far apart, most of all in the upper bits.
 */
static inline uint64_t hash_multiply(uint64_t value)
{
	return value * UINT64_C(0x9e3779b97f4a7c15);
}

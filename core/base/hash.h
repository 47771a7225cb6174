/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One multiplication for all hashes of numbers. */
#pragma once

#include <stdint.h>

/*
 * Multiplies by 2^64 divided by the golden ratio (Knuth's multiplicative hashing): numbers that lie
 * close together come to lie far apart, most of all in the upper half.
 */
static inline uint64_t hash_multiply(uint64_t value)
{
	return value * UINT64_C(0x9e3779b97f4a7c15);
}

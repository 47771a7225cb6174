/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What libFuzzer calls, and the unit test of the corpus. Aborts on a finding; 0. */
int fuzz_texts(const uint8_t *data, size_t size);

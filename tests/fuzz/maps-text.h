/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The entry point that libFuzzer calls, and the unit test of the corpus. Aborts on a finding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

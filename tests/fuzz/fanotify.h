/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libFuzzer calls, and the unit tests with the inputs of corpus-fanotify. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int fuzz_fanotify(const uint8_t *data, size_t size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One input of the fuzz target of that name. Returns 0. */
int fuzz_options(const uint8_t *data, size_t size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a text is one JSON value (RFC 8259), in a line or more. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool json_text_is_valid(const char *text, size_t n);

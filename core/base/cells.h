/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text in the cells of a terminal, where some characters take two and some none. All text is valid UTF-8. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* How many cells the text takes. */
size_t cells_width(const char *text);

/* Appends the text with spaces up to that many cells, before it where `right`. A longer text stays whole. */
void cells_pad(GString *out, const char *text, size_t width, bool right);

/* The same, but a longer text is cut off, and ends in + then. */
void cells_fit(GString *out, const char *text, size_t width, bool right);

/* Appends the text for a terminal that shows ASCII alone: a question mark for each cell of other characters. */
void cells_ascii(GString *out, const char *text);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reads a file of text whole, into what g_free() frees. 0, or the errno of open(2) or read(2): a caller
 * has to tell that there is no such file from a lack of descriptors, which g_file_get_contents() turns
 * into codes of its own.
 */
int file_text(const char *path, char **out);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file-text.h"

#include "base/util.h"

#include <fcntl.h>
#include <glib.h>

#define PIECE 4096

int file_text(const char *path, char **out)
{
	g_autoptr(GByteArray) text = g_byte_array_new();
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		g_byte_array_set_size(text, length + PIECE);
		n = TEMP_FAILURE_RETRY(read(fd, text->data + length, PIECE));
		length += MAX(n, 0);
	} while (n > 0);
	if (n < 0)
		return -errno;
	g_byte_array_set_size(text, length);
	g_byte_array_append(text, (const guint8 *)"", 1);
	*out = (char *)g_byte_array_free(g_steal_pointer(&text), FALSE);
	return 0;
}

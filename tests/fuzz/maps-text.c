/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the parser of /proc/PID/maps. Whatever the text, the rows make sense, and they are
 * the same however the text is cut into reads. The first byte chooses the cut.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/maps-text
 *	build-fuzz/tests/fuzz/maps-text tests/fuzz/corpus-maps-text
 */
#include "maps-text.h"

#include "procfs/maps.h"

#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static enum vma_interest look(const struct vma *vma, void *data)
{
	(void)data;
	g_assert(vma->start < vma->end && vma->name == NULL && strlen(vma->perms) == 4);
	return vma->ino % 3 == 0 ? VMA_SKIP : vma->ino % 3 == 1 ? VMA_PLAIN : VMA_NAMED;
}

static void row(struct vma *vma, void *data)
{
	g_assert(vma->ino % 3 != 0 && (vma->name != NULL) == (vma->ino % 3 == 2));
	g_string_append_printf(data,
		"%" PRIx64 "-%" PRIx64 " %s %" PRIx64 " %" PRIx64 " %" PRIu64 " %s\n", vma->start,
		vma->end, vma->perms, vma->offset, vma->dev, vma->ino, vma->name ? vma->name : "");
}

/* Reads as maps_text_read() does, `cut` bytes at a time. True if all lines were understood. */
static bool read_in_cuts(const char *text, size_t size, size_t cut, GString *rows)
{
	struct maps_sink sink = { look, row, rows };
	g_autofree char *buffer = g_malloc(size + 1);
	size_t filled = 0;

	for (size_t at = 0; at < size;) {
		size_t n = MIN(cut, size - at);
		ssize_t used;

		memcpy(buffer + filled, text + at, n);
		at += n;
		filled += n;
		used = maps_text_lines(buffer, filled, &sink);
		if (used < 0)
			return false;
		g_assert((size_t)used <= filled);
		filled -= used;
		memmove(buffer, buffer + used, filled);
		g_assert(!memchr(buffer, '\n', filled));
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GString) whole = g_string_new(NULL), cut = g_string_new(NULL);
	const char *text = (const char *)data + 1;

	if (size < 2)
		return 0;
	bool understood = read_in_cuts(text, size - 1, size - 1, whole);
	g_assert(read_in_cuts(text, size - 1, 1 + data[0] % 64, cut) == understood);
	g_assert(g_string_equal(whole, cut));
	return 0;
}

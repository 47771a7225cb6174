/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree/content.h"

#include <string.h>

/* Rows to a piece: some tens of kilobytes, about what one read(2) of cat(1) takes. */
#define PIECE 256
#define PIECE_BYTES (64 * 1024)

struct content *content_new(void)
{
	struct content *content = g_new0(struct content, 1);
	goffset zero = 0;

	content->refs = 1;
	content->text = g_string_new(NULL);
	content->starts = g_array_new(FALSE, FALSE, sizeof(goffset));
	content->piece = G_MAXSIZE;
	g_array_append_val(content->starts, zero);
	g_mutex_init(&content->lock);
	return content;
}

struct content *content_ref(struct content *content)
{
	g_atomic_int_inc(&content->refs);
	return content;
}

void content_unref(struct content *content)
{
	if (!g_atomic_int_dec_and_test(&content->refs))
		return;
	if (content->rows.free)
		content->rows.free(content->rows.snapshot);
	g_string_free(content->text, TRUE);
	g_array_unref(content->starts);
	g_mutex_clear(&content->lock);
	g_free(content);
}

size_t content_bytes(const struct content *content)
{
	if (content->rows.n > 0)
		return content->rows.bytes + PIECE_BYTES;
	return sizeof *content + content->text->len;
}

static goffset start_of(const struct content *content, gsize piece)
{
	return g_array_index(content->starts, goffset, piece);
}

/* Renders a piece whose start is known, and learns where the next one starts. */
static void render_piece(struct content *content, gsize piece)
{
	gsize end = MIN((piece + 1) * PIECE, content->rows.n);
	goffset next;

	g_string_truncate(content->text, 0);
	for (gsize row = piece * PIECE; row < end; row++)
		content->rows.format(content->rows.snapshot, row, content->text);
	content->piece = piece;
	next = start_of(content, piece) + content->text->len;
	if (piece + 1 == content->starts->len)
		g_array_append_val(content->starts, next);
}

/* Makes `text` the piece that holds `offset`; false at the end. */
static bool seek_piece(struct content *content, goffset offset)
{
	gsize pieces = (content->rows.n + PIECE - 1) / PIECE, piece = 0;

	/* The last piece known to begin at or before the offset; beyond it, render on. */
	for (gsize low = 0, high = content->starts->len; low < high;) {
		gsize middle = (low + high) / 2;

		if (start_of(content, middle) <= offset) {
			piece = middle;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	for (; piece < pieces; piece++) {
		if (content->piece != piece)
			render_piece(content, piece);
		if (offset < start_of(content, piece + 1))
			return true;
	}
	return false;
}

ssize_t content_read(struct content *content, char *buf, size_t size, off_t offset)
{
	size_t done = 0;

	g_mutex_lock(&content->lock);
	while (done < size) {
		goffset start = 0;
		size_t n, at;

		if (content->rows.n > 0) {
			if (!seek_piece(content, offset + done))
				break;
			start = start_of(content, content->piece);
		}
		at = offset + done - start;
		if (at >= content->text->len)
			break;
		n = MIN(size - done, content->text->len - at);
		memcpy(buf + done, content->text->str + at, n);
		done += n;
	}
	g_mutex_unlock(&content->lock);
	return done;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/counts/packed-mappings.h"

#include "base/packed.h"

#include <string.h>

/* So many files are compared with, the last first; one that is not found may stand there twice. */
#define FILES_BACK 16

#define PERMS_BITS 4

static guint file_of(GArray *files, const struct mapping *row)
{
	const struct mapped_file file = { row->segment, row->file };

	for (guint back = 1; back <= FILES_BACK && back <= files->len; back++) {
		const struct mapped_file *known =
			&g_array_index(files, struct mapped_file, files->len - back);

		if (known->segment == file.segment && known->file == file.file)
			return files->len - back;
	}
	g_array_append_val(files, file);
	return files->len - 1;
}

static unsigned perms_bits(const char perms[8])
{
	unsigned bits = 0;

	for (unsigned i = 0; i < PERMS_BITS; i++)
		bits |= (unsigned)(perms[i] == "rwxs"[i]) << i;
	return bits;
}

static void append(GByteArray *bytes, GArray *files, const struct mapping *row)
{
	packed_append(bytes, (uint64_t)file_of(files, row) << PERMS_BITS | perms_bits(row->perms));
	packed_append_address(bytes, row->start);
	packed_append_address(bytes, row->end - row->start);
	packed_append_address(bytes, row->offset);
}

struct packed_mappings packed_mappings_make(const struct mapping *rows, size_t n)
{
	GArray *files = g_array_new(FALSE, FALSE, sizeof(struct mapped_file));
	GByteArray *bytes = g_byte_array_new();
	struct packed_mappings made;

	for (size_t i = 0; i < n; i++)
		append(bytes, files, &rows[i]);
	made = (struct packed_mappings){ .size = bytes->len, .n_files = files->len };
	/* No more than they need: they are kept. */
	made.bytes = g_realloc(g_byte_array_free(bytes, FALSE), made.size);
	made.files =
		g_realloc_n(g_array_free(files, FALSE), made.n_files, sizeof(struct mapped_file));
	return made;
}

void packed_mappings_clear(struct packed_mappings *mappings)
{
	g_free(mappings->bytes);
	g_free(mappings->files);
	*mappings = (struct packed_mappings){ 0 };
}

bool packed_mappings_equal(const struct packed_mappings *a, const struct packed_mappings *b)
{
	if (a->size != b->size || a->n_files != b->n_files)
		return false;
	for (size_t i = 0; i < a->n_files; i++)
		if (a->files[i].segment != b->files[i].segment ||
			a->files[i].file != b->files[i].file)
			return false;
	return a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0;
}

void packed_mappings_get(const struct packed_mappings *mappings, size_t *at, struct mapping *out)
{
	const uint8_t *next = mappings->bytes + *at;
	uint64_t head = packed_get_number(&next);
	const struct mapped_file *file = &mappings->files[head >> PERMS_BITS];

	*out = (struct mapping){ .segment = file->segment, .file = file->file };
	for (unsigned i = 0; i < PERMS_BITS; i++)
		out->perms[i] = head >> i & 1 ? "rwxs"[i] : "---p"[i];
	out->start = packed_get_address(&next);
	out->end = out->start + packed_get_address(&next);
	out->offset = packed_get_address(&next);
	*at = next - mappings->bytes;
}

struct segment *packed_mappings_segment(const struct packed_mappings *mappings, size_t *at)
{
	struct mapping row;

	packed_mappings_get(mappings, at, &row);
	return row.segment;
}

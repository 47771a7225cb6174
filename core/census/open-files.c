/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many open files the rows of a segment stand for. */
#include "census/spaces.h"

static void add_file(GArray *files, uint64_t file)
{
	if (file)
		g_array_append_val(files, file);
}

static bool add_mapped_file(const struct space *space, const struct mapping *row, void *data)
{
	(void)space;
	add_file(data, row->file);
	return true;
}

static bool add_open_file(const struct space *space, const struct descriptor *row, void *data)
{
	(void)space;
	add_file(data, row->file);
	return true;
}

static int compare_files(gconstpointer a, gconstpointer b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

uint64_t spaces_count_files(struct spaces *spaces, const struct segment *segment)
{
	g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint64_t count = 0, last = 0;

	spaces_each_mapping(spaces, segment, add_mapped_file, files);
	spaces_each_descriptor(spaces, segment, add_open_file, files);
	g_array_sort(files, compare_files);
	for (guint i = 0; i < files->len; i++) {
		uint64_t file = g_array_index(files, uint64_t, i);

		count += file != last;
		last = file;
	}
	return count;
}

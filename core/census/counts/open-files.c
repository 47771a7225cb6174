/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many open files the rows of a segment stand for. */
#include "census/counts/spaces.h"

static void add_file(GArray *files, uint64_t file)
{
	/* The rows of one mapping after the other are often of one file. */
	if (file && (files->len == 0 || g_array_index(files, uint64_t, files->len - 1) != file))
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

struct served {
	const struct segment *segment;
	GArray *files;
};

static void add_served_files(const struct space *space, void *data)
{
	const struct served *served = data;

	for (size_t i = 0; i < space->n_descriptors; i++)
		if (space->descriptors[i].segment == served->segment)
			add_file(served->files, space->descriptors[i].file);
}

static int compare_files(gconstpointer a, gconstpointer b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

GArray *spaces_files(struct spaces *spaces, const struct segment *segment)
{
	GArray *files = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct served served = { segment, files };
	uint64_t *at, last = 0;
	guint kept = 0;

	spaces_each_mapping(spaces, segment, add_mapped_file, files);
	spaces_each_descriptor(spaces, segment, add_open_file, files);
	spaces_each_server(spaces, add_served_files, &served);
	g_array_sort(files, compare_files);
	at = (uint64_t *)files->data;
	for (guint i = 0; i < files->len; i++)
		if (at[i] != last)
			at[kept++] = last = at[i];
	g_array_set_size(files, kept);
	return files;
}

bool spaces_has_file(const GArray *files, uint64_t file)
{
	return g_array_binary_search((GArray *)files, &file, compare_files, NULL);
}

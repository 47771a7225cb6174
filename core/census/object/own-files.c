/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/own-files.h"

#include "base/util.h"

#include <fcntl.h>
#include <stdlib.h>

void own_files_init(struct own_files_seen *own)
{
	own->before = g_array_new(FALSE, FALSE, sizeof(struct own_file));
	own->after = g_array_new(FALSE, FALSE, sizeof(struct own_file));
}

void own_files_clear(struct own_files_seen *own)
{
	g_array_unref(own->before);
	g_array_unref(own->after);
}

static int by_own_inode(gconstpointer a, gconstpointer b)
{
	const struct own_file *x = a, *y = b;
	int r = compare_numbers(x->inode, y->inode);

	return r == 0 ? compare_numbers(x->file, y->file) : r;
}

/*
 * Lists the daemon's own open files, sorted: one for each, although duplicated descriptors share
 * it.
 */
static int list(struct object_programs *programs, GArray *out)
{
	const struct own_file *own, *last = NULL;
	g_autofree struct own_file *sorted = NULL;
	size_t count;
	int r;

	g_array_set_size(out, 0);
	r = object_programs_own_files(programs, &own, &count);
	if (r < 0 || count == 0)
		return r;
	sorted = g_memdup2(own, count * sizeof *own);
	qsort(sorted, count, sizeof *sorted, by_own_inode);
	for (size_t i = 0; i < count; last = &sorted[i++])
		if (!last || last->file != sorted[i].file)
			g_array_append_val(out, sorted[i]);
	return 0;
}

static void keep_lasting(GArray *own, const GArray *after)
{
	guint kept = 0, at = 0;

	for (guint i = 0; i < own->len; i++) {
		const struct own_file *file = &g_array_index(own, struct own_file, i);

		while (at < after->len &&
			by_own_inode(&g_array_index(after, struct own_file, at), file) < 0)
			at++;
		if (at < after->len &&
			by_own_inode(&g_array_index(after, struct own_file, at), file) == 0)
			g_array_index(own, struct own_file, kept++) = *file;
	}
	g_array_set_size(own, kept);
}

int own_files_begin(struct own_files_seen *own, struct object_programs *programs)
{
	return list(programs, own->before);
}

int own_files_end(struct own_files_seen *own, struct object_programs *programs)
{
	int r = list(programs, own->after);

	keep_lasting(own->before, own->after);
	return r;
}

uint32_t own_files_of(const struct own_files_seen *seen, uint64_t inode, uint32_t *served)
{
	const struct own_file *own = (const void *)seen->before->data;
	guint low = 0, high = seen->before->len;
	uint32_t count = 0;

	*served = 0;
	while (low < high) {
		guint middle = (low + high) / 2;

		if (own[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < seen->before->len && own[low].inode == inode; low++) {
		*served += !(own[low].flags & O_PATH);
		count++;
	}
	return count;
}

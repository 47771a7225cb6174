/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the parser of what a fanotify group reads. Whatever the bytes, what a record points to
 * lies in them.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/fanotify
 *	build-fuzz/tests/fuzz/fanotify tests/fuzz/corpus-fanotify
 */
#include "fanotify.h"

#include "events/fanotify-records.h"

#include <glib.h>
#include <string.h>

struct input {
	const uint8_t *begin, *end;
};

static void check_bytes(const struct input *input, const void *from, size_t n)
{
	const uint8_t *at = from;

	g_assert(at >= input->begin && at <= input->end && n <= (size_t)(input->end - at));
}

static void check_file(const struct input *input, const struct file_id *id)
{
	uint64_t inode;

	if (id->bytes)
		check_bytes(input, id->bytes, id->n);
	g_assert(!file_id_inode(id, &inode) || id->n == TMPFS_HANDLE_BYTES);
	g_assert(!id->bytes || file_id_equal(id, id));
}

static void check(const struct fanotify_record *record, void *data)
{
	const struct input *input = data;

	check_file(input, &record->file);
	check_file(input, &record->directory);
	check_file(input, &record->new_directory);
	if (record->name)
		check_bytes(input, record->name, strlen(record->name) + 1);
	if (record->new_name)
		check_bytes(input, record->new_name, strlen(record->new_name) + 1);
	g_assert(record->pidfd >= -1);
}

int fuzz_fanotify(const uint8_t *data, size_t size)
{
	g_autofree uint8_t *copy =
		g_memdup2(data, size); /* of that size exactly, for the sanitizer */
	struct input input = { copy, copy + size };

	fanotify_records_parse(copy, size, check, &input);
	return 0;
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_fanotify(data, size);
}
#endif

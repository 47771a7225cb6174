/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "corpus.h"

#include "unit.h"

#include <glib.h>

static void replay_around(uint8_t *data, size_t size, const char *to,
	int (*target)(const uint8_t *data, size_t size))
{
	for (size_t n = 0; n <= size; n++)
		target(data, n);
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = data[i];

		for (const char *c = to; *c; c++) {
			data[i] = *c;
			target(data, size);
		}
		data[i] = byte;
	}
}

int corpus_replay(const char *directory, const char *to,
	int (*target)(const uint8_t *data, size_t size))
{
	g_autofree char *corpus = g_build_filename(CORPUS, directory, NULL);
	g_autoptr(GDir) dir = g_dir_open(corpus, 0, NULL);
	const char *name;
	int inputs = 0;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(corpus, name, NULL);
		g_autofree char *data = NULL;
		size_t size;

		CU_ASSERT(g_file_get_contents(path, &data, &size, NULL));
		replay_around((uint8_t *)data, size, to, target);
		inputs++;
	}
	return inputs;
}

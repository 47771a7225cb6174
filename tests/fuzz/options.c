/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the command line. The first byte says how the program was called; each argument ends
 * with a newline.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/options
 *	build-fuzz/tests/fuzz/options tests/fuzz/corpus-options
 */
#include "options.h"

#include "daemon/log.h"
#include "daemon/options.h"

#include <stdio.h>
#include <string.h>

#define ARGUMENTS_MAX 32

static void check(const struct options *options)
{
	g_assert(options->mountpoint && *options->mountpoint == '/');
	g_assert(options->source && *options->source == '/');
	g_assert(options->label && options->proc);
	g_assert(options->attr_timeout >= 0 && options->entry_timeout >= 0);
	g_assert(options->census_interval >= 0 && options->max_threads <= 256);
	g_assert(options->log <= 100000 && options->metrics_segments <= 10000);
}

static void parse(char *program, char **words)
{
	char *argv[ARGUMENTS_MAX + 2] = { program };
	struct options options;
	int argc = 1;

	for (unsigned i = 0; words[i] && argc <= ARGUMENTS_MAX; i++)
		argv[argc++] = words[i];
	if (options_parse(argc, argv, &options) == OPTIONS_MOUNT)
		check(&options);
	options_free(&options);
}

static void parse_look(char **words)
{
	struct options options;

	if (options_for_look(NULL, words, &options) == 0)
		g_assert(options.source && options.proc);
	options_free(&options);
}

int fuzz_options(const uint8_t *data, size_t size)
{
	static char daemon[] = "shmtree", helper[] = "/sbin/mount.fuse.shmtree";
	g_autofree char *text = NULL;
	g_auto(GStrv) words = NULL;

	if (size < 1)
		return 0;
	text = g_strndup((const char *)data + 1, size - 1);
	words = g_strsplit(text, "\n", ARGUMENTS_MAX);
	if (data[0] % 3 == 2)
		parse_look(words);
	else
		parse(data[0] % 3 ? helper : daemon, words);
	return 0;
}

#ifdef LIBFUZZER
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	/* What is wrong is told there; libFuzzer has its own. */
	stderr = fopen("/dev/null", "we");
	stdout = fopen("/dev/null", "we");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_options(data, size);
}
#endif

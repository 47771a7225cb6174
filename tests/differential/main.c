/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The differential test: the same random calls on a directory of a native tmpfs and on a mount, and
 * every answer compared. See step.h for what a step is, ops-*.c for the calls, exceptions.c for the
 * differences that are documented.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "exceptions.h"
#include "generate.h"
#include "sequence.h"

#define MAX_KINDS 200

static struct options {
	const char *native, *mount, *behind;
	uint64_t seed;
	size_t steps;  /* of the run; 0: not limited */
	size_t length; /* of a sequence */
	long seconds;  /* of the run; 0: endless, -1: not limited */
	bool no_mmap, keep_going, print, no_shrink;
} options = { .steps = 30000, .length = 200, .seconds = -1 };

static const struct option long_options[] = {
	{ "native", required_argument, NULL, 'n' },
	{ "mount", required_argument, NULL, 'm' },
	{ "backing", required_argument, NULL, 'b' },
	{ "seed", required_argument, NULL, 's' },
	{ "steps", required_argument, NULL, 'c' },
	{ "seconds", required_argument, NULL, 't' },
	{ "length", required_argument, NULL, 'l' },
	{ "no-mmap", no_argument, NULL, 'M' },
	{ "permissions-by-daemon", no_argument, NULL, 'P' },
	{ "keep-going", no_argument, NULL, 'k' },
	{ "print", no_argument, NULL, 'p' },
	{ "no-shrink", no_argument, NULL, 'S' },
	{ "ignore", required_argument, NULL, 'i' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static _Noreturn void usage(FILE *to, int status)
{
	fputs("Usage: differential --native DIR --mount DIR --backing DIR [OPTION]...\n"
	      "Make the same random calls on a native tmpfs directory and on a mount.\n\n"
	      "  --native DIR   the model: a tmpfs of the same size as the one behind the mount\n"
	      "  --mount DIR    the mount under test\n"
	      "  --backing DIR  the directory behind the mount\n"
	      "  --seed N       of the first sequence (default: from the clock); each has its own\n"
	      "  --steps N      steps to make in all (default 30000)\n"
	      "  --seconds N    run that long instead; 0: until a difference shows\n"
	      "  --length N     steps of a sequence (default 200)\n"
	      "  --no-mmap      the mount is without passthrough: every mapping is ENODEV\n"
	      "  --permissions-by-daemon\n"
	      "                 the mount has permissions=daemon: some errors come in another "
	      "order\n"
	      "  --keep-going   print each kind of difference once and go on\n"
	      "  --ignore KIND  take this kind of difference for known\n"
	      "  --no-shrink    print the sequence as it is\n"
	      "  --print        print every step\n"
	      "All files in DIR are deleted. Exit status: 0 no difference, 1 some, 2 trouble.\n",
		to);
	exit(status);
}

static void parse(int argc, char **argv)
{
	int c;

	options.seed = (uint64_t)time(NULL) * 1000;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'n':
			options.native = optarg;
			break;
		case 'm':
			options.mount = optarg;
			break;
		case 'b':
			options.behind = optarg;
			break;
		case 's':
			options.seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			options.steps = strtoull(optarg, NULL, 0);
			break;
		case 't':
			options.seconds = atol(optarg);
			options.steps = 0;
			break;
		case 'l':
			options.length = strtoull(optarg, NULL, 0);
			break;
		case 'M':
			options.no_mmap = true;
			break;
		case 'P':
			permissions_by_daemon = true;
			break;
		case 'k':
			options.keep_going = true;
			break;
		case 'p':
			options.print = true;
			break;
		case 'i':
			ignore_kind(optarg);
			break;
		case 'S':
			options.no_shrink = true;
			break;
		case 'h':
			usage(stdout, 0);
		default:
			usage(stderr, 2);
		}
	}
	if (!options.native || !options.mount || !options.behind || optind < argc)
		usage(stderr, 2);
}

/* Whether this kind of difference was met before; notes it. */
static bool is_known(const char *kind)
{
	static char kinds[MAX_KINDS][sizeof(((struct difference *)0)->kind)];
	static int count;

	for (int i = 0; i < count; i++) {
		if (strcmp(kinds[i], kind) == 0)
			return true;
	}
	if (count < MAX_KINDS)
		strcpy(kinds[count++], kind);
	return false;
}

static void report(struct world *w, struct sequence *s, uint64_t seed, struct difference *d)
{
	size_t length = s->count;

	printf("DIFFERENCE in the sequence of seed %" PRIu64 " (--length %zu), step %zu\n%s\n"
	       "Kind: %s\n",
		seed, length, d->step + 1, d->text, d->kind);
	fflush(stdout);
	if (!options.no_shrink)
		sequence_shrink(w, s, d);
	printf("Smallest program found, %zu steps%s:\n", s->count,
		s->watch ? "" : " (not looked at through the mount in between)");
	if (sequence_run(w, s, true, d))
		printf("  => %s\n\n", d->text);
	else
		printf("  => no difference this time: it depends on timing\n\n");
	fflush(stdout);
}

static bool is_over(time_t start, size_t made)
{
	if (options.steps)
		return made >= options.steps;
	return options.seconds > 0 && time(NULL) - start >= options.seconds;
}

int main(int argc, char **argv)
{
	struct world world;
	struct sequence s;
	struct difference d;
	size_t made = 0;
	unsigned differences = 0;
	time_t start = time(NULL);

	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	umask(0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
	world_open(&world, options.native, options.mount, options.behind, options.no_mmap);
	s.steps = calloc(options.length, sizeof(*s.steps));
	for (uint64_t seed = options.seed; !is_over(start, made); seed++) {
		s.count = options.length;
		s.watch = seed % 2;
		generate(seed, s.steps, s.count);
		if (sequence_run(&world, &s, options.print, &d)) {
			differences++;
			if (!is_known(d.kind))
				report(&world, &s, seed, &d);
			if (!options.keep_going)
				break;
		}
		made += options.length;
	}
	world_reset(&world);
	world_close(&world);
	free(s.steps);
	printf("%zu steps from seed %" PRIu64 " in %ld s: %u differences\n", made, options.seed,
		(long)(time(NULL) - start), differences);
	return differences ? 1 : 0;
}

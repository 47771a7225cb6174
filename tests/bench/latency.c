// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * latency: how long single calls take in several directories, compared fairly.
 *
 * Times drift: the machine is shared, clocks change, caches warm up. So no directory is measured
 * by itself. Each round times a batch of every call in every directory, one directory after the
 * other, and the next round starts with another directory. What is compared is then the same
 * moment of the same machine, and the quartiles over the rounds tell how much to believe.
 *
 * Calls are made relative to an open directory, so that the length of a path costs nobody more.
 * NAME=DIRECTORY=PID says which daemon serves the directory: then `together` is the share of batches that
 * caller and daemon spent on one processor (state.h).
 *
 * The result is one JSON object: nanoseconds a call (for readdir and ls-l an entry).
 */
#include "state.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATA_SIZE (1 << 20)
#define BLOCK 4096

struct target {
	const char *name; /* how the result calls it */
	const char *path; /* a directory; a file for the call "file" */
	unsigned index;   /* keeps names apart where two targets show the same memory */
	int dir;          /* the directory, open */
	int data;         /* DATA_SIZE bytes, open for reading and writing */
	struct daemon_state daemon;
};

struct call {
	const char *name;
	/* Makes the batch of calls; returns how many calls or entries the time is to be shared by. */
	unsigned (*batch)(struct target *t);
	bool on_file; /* wants a path of a file, not an open directory; only made when asked for */
};

static unsigned calls_per_batch = 100;
static unsigned entries = 1000;
static unsigned rounds = 20;
static char block[BLOCK];

struct name {
	char text[48];
};

/* By value: a rename needs two at a time. */
static struct name make_name(const char *kind, const struct target *t, unsigned i)
{
	struct name name;

	snprintf(name.text, sizeof(name.text), "latency.%s.%u.%06u", kind, t->index, i);
	return name;
}

static int must_open(struct target *t, const char *name, int flags)
{
	int fd = openat(t->dir, name, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "%s/%s", t->path, name);
	return fd;
}

static unsigned batch_stat(struct target *t)
{
	struct stat st;

	for (unsigned i = 0; i < calls_per_batch; i++)
		if (fstatat(t->dir, "latency.small", &st, AT_SYMLINK_NOFOLLOW))
			err(1, "%s: stat", t->path);
	return calls_per_batch;
}

static unsigned batch_open(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++)
		close(must_open(t, "latency.small", O_RDONLY));
	return calls_per_batch;
}

/* What cat(1) does with a small object. */
static unsigned batch_cat(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++) {
		int fd = must_open(t, "latency.small", O_RDONLY);
		struct stat st;

		if (fstat(fd, &st))
			err(1, "%s: fstat", t->path);
		while (read(fd, block, sizeof(block)) > 0)
			;
		close(fd);
	}
	return calls_per_batch;
}

static unsigned batch_create(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++)
		close(must_open(t, make_name("new", t, i).text, O_CREAT | O_EXCL | O_RDWR));
	return calls_per_batch;
}

static unsigned batch_rename(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++)
		if (renameat(t->dir, make_name("new", t, i).text, t->dir,
			    make_name("renamed", t, i).text))
			err(1, "%s: rename", t->path);
	return calls_per_batch;
}

static unsigned batch_unlink(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++)
		if (unlinkat(t->dir, make_name("renamed", t, i).text, 0))
			err(1, "%s: unlink", t->path);
	return calls_per_batch;
}

static unsigned batch_ftruncate(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++)
		if (ftruncate(t->data, DATA_SIZE + (i & 1) * BLOCK))
			err(1, "%s: ftruncate", t->path);
	return calls_per_batch;
}

static unsigned batch_pread(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++)
		if (pread(t->data, block, BLOCK, i * BLOCK % DATA_SIZE) != BLOCK)
			err(1, "%s: pread", t->path);
	return calls_per_batch;
}

static unsigned batch_pwrite(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++)
		if (pwrite(t->data, block, BLOCK, i * BLOCK % DATA_SIZE) != BLOCK)
			err(1, "%s: pwrite", t->path);
	return calls_per_batch;
}

static unsigned list(struct target *t, bool with_stat)
{
	DIR *dir = fdopendir(must_open(t, ".", O_RDONLY | O_DIRECTORY));
	struct dirent *entry;
	struct stat st;
	unsigned n = 0;

	if (!dir)
		err(1, "%s: opendir", t->path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (with_stat && fstatat(t->dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			err(1, "%s/%s: stat", t->path, entry->d_name);
		n++;
	}
	closedir(dir);
	if (n < entries)
		errx(1, "%s: %u entries where at least %u were expected", t->path, n, entries);
	return n;
}

static unsigned batch_readdir(struct target *t)
{
	return list(t, false);
}

static unsigned batch_ls_l(struct target *t)
{
	return list(t, true);
}

/* A file by its path, from open to close: what reading one fact of a segment costs. */
static unsigned batch_file(struct target *t)
{
	for (unsigned i = 0; i < calls_per_batch; i++) {
		int fd = open(t->path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			err(1, "%s", t->path);
		while (read(fd, block, sizeof(block)) > 0)
			;
		close(fd);
	}
	return calls_per_batch;
}

/* rename and unlink take over what create and rename have left: the order matters. */
static const struct call calls[] = {
	{ "stat", batch_stat },
	{ "open+close", batch_open },
	{ "cat", batch_cat },
	{ "create", batch_create },
	{ "rename", batch_rename },
	{ "unlink", batch_unlink },
	{ "ftruncate", batch_ftruncate },
	{ "pread-4k", batch_pread },
	{ "pwrite-4k", batch_pwrite },
	{ "readdir", batch_readdir },
	{ "ls-l", batch_ls_l },
	{ "file", batch_file, .on_file = true },
};
#define N_CALLS (sizeof(calls) / sizeof(calls[0]))

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static double time_batch(const struct call *call, struct target *t)
{
	uint64_t start = now_ns();
	unsigned n = call->batch(t);

	return (double)(now_ns() - start) / n;
}

static void set_up(struct target *t)
{
	int fd;

	t->dir = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dir < 0)
		err(1, "%s", t->path);
	for (unsigned i = 0; i < entries; i++)
		close(must_open(t, make_name("entry", t, i).text, O_CREAT | O_RDWR));
	fd = must_open(t, "latency.small", O_CREAT | O_RDWR);
	if (write(fd, "a small object\n", 15) != 15)
		err(1, "%s: write", t->path);
	close(fd);
	t->data = must_open(t, "latency.data", O_CREAT | O_RDWR);
	for (unsigned i = 0; i < DATA_SIZE / BLOCK; i++)
		if (pwrite(t->data, block, BLOCK, (off_t)i * BLOCK) != BLOCK)
			err(1, "%s: write", t->path);
}

/* The targets may show the same memory: what another one has removed already is no error. */
static void tear_down(struct target *t)
{
	close(t->data);
	unlinkat(t->dir, "latency.data", 0);
	unlinkat(t->dir, "latency.small", 0);
	for (unsigned i = 0; i < entries; i++)
		unlinkat(t->dir, make_name("entry", t, i).text, 0);
	close(t->dir);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Samples come in the order of the rounds, so that ratios can be taken round by round. */
static void print_samples(const struct target *t, const double *samples, unsigned together,
	bool last)
{
	double *sorted = calloc(rounds, sizeof(double));

	if (!sorted)
		err(1, "calloc");
	memcpy(sorted, samples, rounds * sizeof(double));
	qsort(sorted, rounds, sizeof(double), compare);
	printf("   \"%s\": {\"median\": %.1f, \"p90\": %.1f, ", t->name, sorted[rounds / 2],
		sorted[rounds * 9 / 10]);
	if (t->daemon.pid)
		printf("\"together\": %.2f, ", (double)together / rounds);
	printf("\"samples\": [");
	for (unsigned r = 0; r < rounds; r++)
		printf("%s%.1f", r ? ", " : "", samples[r]);
	printf("]}%s\n", last ? "" : ",");
	free(sorted);
}

static bool selected(const struct call *call, const char *only)
{
	size_t n = strlen(call->name);

	if (!only)
		return !call->on_file;
	for (const char *p = only; p; p = strchr(p, ','), p = p ? p + 1 : NULL)
		if (!strncmp(p, call->name, n) && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

static void measure(struct target *targets, unsigned n, const char *only)
{
	double *samples = calloc(N_CALLS * n * rounds, sizeof(double));
	unsigned *together = calloc(N_CALLS * n, sizeof(unsigned));
	bool first = true;

	if (!samples || !together)
		err(1, "calloc");
	for (unsigned r = 0; r <= rounds; r++) /* the first round warms up and is not kept */
		for (unsigned c = 0; c < N_CALLS; c++)
			for (unsigned i = 0; selected(&calls[c], only) && i < n; i++) {
				unsigned t = (r + i) % n;
				struct daemon_state *daemon = &targets[t].daemon;
				double ns;

				if (daemon->pid)
					state_is_together(daemon);
				ns = time_batch(&calls[c], &targets[t]);
				if (!r)
					continue;
				samples[(c * n + t) * rounds + r - 1] = ns;
				together[c * n + t] += daemon->pid && state_is_together(daemon);
			}

	printf("{\"unit\": \"ns\", \"rounds\": %u, \"calls\": {", rounds);
	for (unsigned c = 0; c < N_CALLS; c++) {
		if (!selected(&calls[c], only))
			continue;
		printf("%s\n  \"%s\": {\n", first ? "" : ",", calls[c].name);
		first = false;
		for (unsigned t = 0; t < n; t++)
			print_samples(&targets[t], &samples[(c * n + t) * rounds],
				together[c * n + t], t == n - 1);
		printf("  }");
	}
	printf("\n}}\n");
	free(together);
	free(samples);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: latency [-r ROUNDS] [-n CALLS-A-BATCH] [-e ENTRIES] [-c CALL,...] "
		"NAME=DIRECTORY[=PID]...\n"
		"       latency [-r ROUNDS] [-n CALLS-A-BATCH] -c file NAME=FILE...\n");
	exit(2);
}

static unsigned parse_count(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !value || value > 10000000)
		usage();
	return value;
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	struct target *targets;
	bool on_files;
	unsigned n;
	int option;

	while ((option = getopt(argc, argv, "r:n:e:c:")) != -1) {
		switch (option) {
		case 'r':
			rounds = parse_count(optarg);
			break;
		case 'n':
			calls_per_batch = parse_count(optarg);
			break;
		case 'e':
			entries = parse_count(optarg);
			break;
		case 'c':
			only = optarg;
			break;
		default:
			usage();
		}
	}
	n = argc - optind;
	if (!n)
		usage();
	targets = calloc(n, sizeof(*targets));
	if (!targets)
		err(1, "calloc");
	on_files = only && !strcmp(only, "file");
	for (unsigned i = 0; i < n; i++) {
		targets[i].index = i;
		targets[i].name = strsep(&argv[optind + i], "=");
		targets[i].path = strsep(&argv[optind + i], "=");
		if (argv[optind + i])
			targets[i].daemon.pid = parse_count(argv[optind + i]);
		if (!targets[i].path)
			usage();
		if (!on_files)
			set_up(&targets[i]);
	}
	measure(targets, n, only);
	for (unsigned i = 0; i < n && !on_files; i++)
		tear_down(&targets[i]);
	free(targets);
	return 0;
}

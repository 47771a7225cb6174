// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crowd: many processes at work in one directory at once, or many objects open in one process.
 *
 *	crowd race DIRECTORY PROCESSES NAMES    all create the same names with O_EXCL: each name must
 *	                                        be won by exactly one of them
 *	crowd work DIRECTORY PROCESSES ROUNDS   each creates, writes, maps, compares and unlinks an
 *	                                        object of its own, ROUNDS times
 *	crowd open DIRECTORY OBJECTS            opens that many objects, reads from each, prints the
 *	                                        result, and closes them at the end of standard input
 *
 * Prints one line of JSON. A failure ends it with a message and status 1.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

struct name {
	char text[48];
};

static struct name make_name(const char *kind, long i)
{
	struct name name;

	snprintf(name.text, sizeof(name.text), "crowd.%s.%06ld", kind, i);
	return name;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* How many of the names this process was the one to create. */
static long race(int dir, long self, long names)
{
	long won = 0;

	(void)self;
	for (long i = 0; i < names; i++) {
		int fd = openat(dir, make_name("race", i).text, O_CREAT | O_EXCL | O_RDWR, 0600);

		if (fd >= 0) {
			won++;
			close(fd);
		} else if (errno != EEXIST) {
			err(1, "create");
		}
	}
	return won;
}

static void work_once(int dir, const char *name)
{
	char block[BLOCK], *map;
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR, 0600);

	if (fd < 0)
		err(1, "create %s", name);
	memset(block, 'x', sizeof(block));
	if (pwrite(fd, block, BLOCK, 0) != BLOCK)
		err(1, "write %s", name);
	map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "mmap %s", name);
	if (memcmp(map, block, BLOCK))
		errx(1, "%s: what was written is not what is mapped", name);
	map[1] = 'y';
	if (pread(fd, block, BLOCK, 0) != BLOCK || block[1] != 'y')
		errx(1, "%s: what was stored in the mapping is not what is read", name);
	munmap(map, BLOCK);
	close(fd);
	if (unlinkat(dir, name, 0))
		err(1, "unlink %s", name);
}

static long work(int dir, long self, long rounds)
{
	for (long i = 0; i < rounds; i++)
		work_once(dir, make_name("work", self).text);
	return rounds;
}

static int child(int dir, long self, long n, int gate, int results,
	long (*job)(int dir, long self, long n))
{
	char byte;
	long done;

	/* End of file opens the gate for all at once. */
	if (read(gate, &byte, 1) != 0)
		return 1;
	done = job(dir, self, n);
	return write(results, &done, sizeof(done)) != sizeof(done);
}

static void run_processes(int dir, long processes, long n, long (*job)(int dir, long self, long n))
{
	int gate[2], results[2], status, failed = 0;
	long done, sum = 0;
	double start;

	if (pipe(gate) || pipe(results))
		err(1, "pipe");
	for (long i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			close(gate[1]);
			_exit(child(dir, i, n, gate[0], results[1], job));
		}
	}
	start = now();
	close(gate[1]);
	close(results[1]);
	while (read(results[0], &done, sizeof(done)) == sizeof(done))
		sum += done;
	while (wait(&status) > 0)
		failed += status != 0;
	printf("{\"seconds\": %.6f, \"done\": %ld, \"failed\": %d}\n", now() - start, sum, failed);
}

static void unlink_all(int dir, const char *kind, long n)
{
	for (long i = 0; i < n; i++)
		if (unlinkat(dir, make_name(kind, i).text, 0))
			err(1, "unlink");
}

static void open_many(int dir, long n)
{
	struct rlimit limit = { n + 64, n + 64 };
	int *fds = calloc(n, sizeof(int));
	double start = now();
	char byte;

	if (!fds)
		err(1, "calloc");
	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
	for (long i = 0; i < n; i++) {
		fds[i] = openat(dir, make_name("open", i).text, O_CREAT | O_EXCL | O_RDWR, 0600);
		if (fds[i] < 0)
			err(1, "object %ld", i);
		if (pwrite(fds[i], "x", 1, 0) != 1 || pread(fds[i], &byte, 1, 0) != 1 ||
			byte != 'x')
			err(1, "object %ld: write and read", i);
	}
	printf("{\"seconds\": %.6f, \"done\": %ld, \"failed\": 0}\n", now() - start, n);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (long i = 0; i < n; i++)
		close(fds[i]);
	unlink_all(dir, "open", n);
	free(fds);
}

int main(int argc, char **argv)
{
	int dir;

	if (argc < 4)
		errx(2, "usage: crowd race|work DIRECTORY PROCESSES N | open DIRECTORY OBJECTS");
	dir = open(argv[2], O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		err(1, "%s", argv[2]);
	if (!strcmp(argv[1], "open")) {
		open_many(dir, atol(argv[3]));
	} else if (argc == 5 && !strcmp(argv[1], "race")) {
		run_processes(dir, atol(argv[3]), atol(argv[4]), race);
		unlink_all(dir, "race", atol(argv[4]));
	} else if (argc == 5 && !strcmp(argv[1], "work")) {
		run_processes(dir, atol(argv[3]), atol(argv[4]), work);
	} else {
		errx(2, "unknown mode %s", argv[1]);
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine full of mappings, for measuring a census.
 *
 *	census-load NAME [PROCESSES [MAPPINGS]]
 *
 * Creates the POSIX object NAME and PROCESSES children (400) that between them make MAPPINGS
 * mappings (150,000): a third of the object, a third anonymous, a third of an ordinary file, so
 * that no two merge. Prints one line,
 *
 *	ready PROCESSES MAPPINGS SEGMENT_MAPPINGS
 *
 * and then obeys standard input: `change N` makes the first N children unmap a page of the object
 * and map it again, and prints `changed N` when they have. At the end of standard input everything
 * it made goes away.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KINDS = 3 }; /* page i of a child's region is of kind i % KINDS; 0 is the object */

static long page;

struct child {
	pid_t pid;
	int channel; /* a byte asks for a change, the echo says that it is made */
};

static void map_page(char *at, int kind, int object, int file)
{
	void *got;

	if (kind == 0)
		got = mmap(at, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, object, 0);
	else if (kind == 1)
		got = mmap(at, page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	else
		got = mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0);
	if (got == MAP_FAILED)
		err(1, "mmap");
}

static void child_run(int channel, int object, int file, long mappings)
{
	/* A page more: nothing that follows the region can merge with it. */
	char *region = mmap(NULL, (mappings + 1) * page, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char byte = 'r';

	if (region == MAP_FAILED)
		err(1, "mmap");
	for (long i = 0; i < mappings; i++)
		map_page(region + i * page, i % KINDS, object, file);
	while (write(channel, &byte, 1) == 1 && read(channel, &byte, 1) == 1) {
		munmap(region, page);
		map_page(region, 0, object, file);
	}
	_exit(0);
}

static struct child child_start(const struct child *brothers, long n, int object, int file,
	long mappings)
{
	struct child child;
	int channel[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0)
		err(1, "socketpair");
	child.pid = fork();
	if (child.pid < 0)
		err(1, "fork");
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		/* Tens of thousands of inherited descriptors would be the load otherwise. */
		for (long i = 0; i < n; i++)
			close(brothers[i].channel);
		close(channel[0]);
		child_run(channel[1], object, file, mappings);
	}
	close(channel[1]);
	child.channel = channel[0];
	return child;
}

static void child_answer(const struct child *child)
{
	char byte;

	if (read(child->channel, &byte, 1) != 1)
		errx(1, "child %d died", (int)child->pid);
}

static void obey(const struct child *children, long count)
{
	char line[64];

	while (fgets(line, sizeof line, stdin) != NULL) {
		long changes;

		if (sscanf(line, "change %ld", &changes) != 1 || changes < 0 || changes > count) {
			warnx("not understood: %s", line);
			continue;
		}
		for (long i = 0; i < changes; i++)
			if (write(children[i].channel, "c", 1) != 1)
				err(1, "write");
		for (long i = 0; i < changes; i++)
			child_answer(&children[i]);
		printf("changed %ld\n", changes);
	}
}

int main(int argc, char **argv)
{
	long count = argc > 2 ? atol(argv[2]) : 400;
	long mappings = argc > 3 ? atol(argv[3]) : 150000;
	struct child *children;
	int object, file;

	if (argc < 2 || argc > 4 || count < 1 || mappings < count * KINDS)
		errx(1, "usage: census-load NAME [PROCESSES [MAPPINGS]]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	page = sysconf(_SC_PAGESIZE);
	mappings /= count;
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	object = shm_open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0600);
	if (file < 0 || object < 0 || ftruncate(object, page) != 0)
		err(1, "%s", argv[1]);
	children = calloc(count, sizeof *children);
	if (children == NULL)
		err(1, "calloc");
	for (long i = 0; i < count; i++)
		children[i] = child_start(children, i, object, file, mappings);
	for (long i = 0; i < count; i++)
		child_answer(&children[i]);
	printf("ready %ld %ld %ld\n", count, count * mappings,
		count * ((mappings + KINDS - 1) / KINDS));
	obey(children, count);
	for (long i = 0; i < count; i++) {
		kill(children[i].pid, SIGKILL);
		waitpid(children[i].pid, NULL, 0);
	}
	shm_unlink(argv[1]);
	free(children);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linked into every program of the build that records which test reaches which line (reach.py). GCC
 * calls __sanitizer_cov_trace_pc() at the beginning of each basic block; a byte for each address is set
 * in a file that is mapped shared, so that what a process has done until it is killed counts, and what
 * its children do without executing another program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The linker's, at the beginning and the end of the program's code; a library has no such beginning. */
extern const char __executable_start __attribute__((weak)), etext;

static unsigned char *reached;

void __sanitizer_cov_trace_pc(void);

/* Tests run daemons of other users, which write to the same file. */
static int open_record(void)
{
	const char *prefix = getenv("SHMTREE_REACH");
	char path[4096];
	int fd;

	if (!prefix || !&__executable_start)
		return -1;
	snprintf(path, sizeof path, "%s.%s", prefix, program_invocation_short_name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0)
		fchmod(fd, 0666);
	return fd;
}

__attribute__((constructor)) static void begin(void)
{
	size_t size = &etext - &__executable_start;
	int fd = open_record();
	void *map;

	if (fd < 0)
		return;
	if (ftruncate(fd, size) == 0) {
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map != MAP_FAILED)
			reached = map;
	}
	close(fd);
}

void __sanitizer_cov_trace_pc(void)
{
	const char *after = __builtin_return_address(0);

	if (reached)
		reached[after - &__executable_start] = 1;
}

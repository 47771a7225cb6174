/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "moment.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#define MAX_MOMENTS 100001
#define BEFORE (-1)
#define SET_BY_HAND (-2)
#define LONG_AGO (100 * 86400) /* seconds: nothing that a test sets is so close to now */

static struct timespec starts[MAX_MOMENTS];
static int count;

static int compare(int64_t sec, uint32_t nsec, const struct timespec *b)
{
	if (sec != b->tv_sec)
		return sec < b->tv_sec ? -1 : 1;
	return nsec < (uint32_t)b->tv_nsec ? -1 : nsec > (uint32_t)b->tv_nsec;
}

static struct timespec touch(int fd)
{
	struct stat st;

	if (fchmod(fd, 0600) < 0 || fstat(fd, &st) < 0)
		err(2, "touching a memfd");
	return st.st_ctim;
}

/*
 * The kernel stamps inodes with a coarse clock. On kernels with multigrain timestamps, a stamp that
 * has been read by stat(2) makes the next one on that inode a fine one, and all later stamps of all
 * inodes come after it; on older kernels this spins for a tick.
 */
static struct timespec tick(void)
{
	static int fd = -1;
	struct timespec before, now;

	if (fd < 0)
		fd = memfd_create("clock", MFD_CLOEXEC);
	before = touch(fd);
	do
		now = touch(fd);
	while (compare(now.tv_sec, (uint32_t)now.tv_nsec, &before) <= 0);
	return now;
}

void moments_begin(void)
{
	count = 0;
	moments_tick();
}

void moments_tick(void)
{
	if (count == MAX_MOMENTS)
		errx(2, "a sequence of more than %d steps", MAX_MOMENTS - 1);
	starts[count++] = tick();
}

/* The step whose time this is, BEFORE the first, or SET_BY_HAND. */
static int step_of(const struct statx_timestamp *t)
{
	int low = 0, high = count - 1;

	if (t->tv_sec < starts[0].tv_sec - LONG_AGO ||
		t->tv_sec > starts[count - 1].tv_sec + LONG_AGO)
		return SET_BY_HAND;
	if (compare(t->tv_sec, t->tv_nsec, &starts[0]) < 0)
		return BEFORE;
	while (low < high) {
		int middle = (low + high + 1) / 2;

		if (compare(t->tv_sec, t->tv_nsec, &starts[middle]) >= 0)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

int64_t moment_key(const struct statx_timestamp *t)
{
	int step = step_of(t);

	return step == SET_BY_HAND ? (int64_t)((uint64_t)t->tv_sec * 1000000007u + t->tv_nsec) :
				     step;
}

void moment_describe(const struct statx_timestamp *t, char *buf, size_t size)
{
	int step = step_of(t);

	if (step == SET_BY_HAND)
		snprintf(buf, size, "%" PRId64 ".%09u", (int64_t)t->tv_sec, t->tv_nsec);
	else if (step == BEFORE)
		snprintf(buf, size, "before");
	else
		snprintf(buf, size, "step %d", step);
}

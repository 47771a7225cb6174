/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/residency.h"

#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>

#define UNKNOWN UINT64_MAX

/* What the kernel says of a memfd; asked through an O_PATH descriptor as well. */
static void assert_resident(int fd, uint64_t bytes)
{
	uint64_t resident = UNKNOWN, swapped = UNKNOWN;
	char path[32];

	ASSERT_INT(residency_of(fd, &resident, &swapped), 0);
	if (resident == UNKNOWN)
		SKIP("the kernel has no cachestat(2) (Linux 6.5), and swap is in use");
	/* Pages may be swapped out at any time, but not lost. */
	ASSERT_INT(resident + swapped, bytes);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	auto_fd by_path = open(path, O_PATH | O_CLOEXEC);
	resident = swapped = UNKNOWN;
	ASSERT_INT(residency_of(by_path, &resident, &swapped), 0);
	ASSERT_INT(resident + swapped, bytes);
}

static void asking_adds_no_page(void)
{
	long page = sysconf(_SC_PAGESIZE);
	auto_fd fd = memfd_create("residency", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	assert_resident(fd, 0);
	ASSERT_INT(ftruncate(fd, 100 * page), 0);
	assert_resident(fd, 0);
	ASSERT_INT(pwrite(fd, "x", 1, 7 * page), 1);
	ASSERT_INT(pwrite(fd, "x", 1, 90 * page), 1);
	assert_resident(fd, 2 * page);
	ASSERT_INT(fallocate(fd, 0, 0, 10 * page), 0);
	assert_resident(fd, 11 * page);
	ASSERT_INT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5 * page), 0);
	assert_resident(fd, 6 * page);
	ASSERT_INT(ftruncate(fd, 0), 0);
	assert_resident(fd, 0);
}

static void huge_pages_are_asked_otherwise(void)
{
	auto_fd fd = memfd_create("residency", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd < 0)
		SKIP("no file of huge pages can be made: %s", g_strerror(errno));
	assert_resident(fd, 0);
}

static void what_is_not_open_is_an_error(void)
{
	uint64_t resident = UNKNOWN, swapped = UNKNOWN;

	CU_ASSERT(residency_of(-1, &resident, &swapped) < 0);
	CU_ASSERT(resident == UNKNOWN && swapped == UNKNOWN);
}

static CU_TestInfo tests[] = {
	{ "asking adds no page", asking_adds_no_page },
	{ "huge pages are asked otherwise", huge_pages_are_asked_otherwise },
	{ "what is not open is an error", what_is_not_open_is_an_error },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo residency_suite = { "residency", NULL, NULL, NULL, NULL, tests };

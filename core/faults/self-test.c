/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/self-test.h"

#include "base/memfd.h"
#include "base/tmpfs.h"
#include "base/util.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *const failures[] = {
	[FAULT_CASE_WITHIN] = "self-test: an address is not found in its segment",
	[FAULT_CASE_TRUNCATED] = "self-test: an address beyond the end is not recognised",
	[FAULT_CASE_SPACE] = "self-test: what a tmpfs has left is not read as expected",
	[FAULT_CASE_FULL] = "self-test: a full tmpfs is not recognised",
};

struct test {
	struct fault_programs *programs;
	enum fault_case at, fault;
	uint64_t page;
};

/* Compares what is found at that page of the mapping with what it should be. */
static int expect(struct test *test, enum fault_case at, const char *mapping, int fd, uint64_t page,
	const struct seen_fault *wanted)
{
	struct seen_fault found;
	struct stat st;
	int r = fault_programs_try(test->programs, mapping + page * test->page, &found);

	test->at = at;
	if (r == 1 && fstat(fd, &st) < 0)
		r = -errno;
	if (r != 1)
		return r < 0 ? r : -ENOTSUP;
	return found.ino == st.st_ino && found.size == (uint64_t)st.st_size &&
			found.offset == (page + (at == test->fault)) * test->page &&
			found.cause == wanted->cause && found.limit == wanted->limit &&
			found.used == wanted->used ?
		0 :
		-ENOTSUP;
}

static int test_memfd(struct test *test)
{
	static const struct seen_fault within = { .cause = FAULT_OTHER },
				       beyond = { .cause = FAULT_TRUNCATED };
	void *at;
	int r;

	auto_fd fd = memfd_new(0);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, 2 * test->page) < 0)
		return -errno;
	at = mmap(NULL, 2 * test->page, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	r = expect(test, FAULT_CASE_WITHIN, at, fd, 1, &within);
	if (r == 0 && ftruncate(fd, test->page) < 0)
		r = -errno;
	if (r == 0)
		r = expect(test, FAULT_CASE_TRUNCATED, at, fd, 1, &beyond);
	munmap(at, 2 * test->page);
	return r;
}

static int test_filling(struct test *test, int fd)
{
	const struct seen_fault space = { .cause = FAULT_OTHER,
		.limit = 2 * test->page,
		.used = test->page };
	const struct seen_fault full = { .cause = FAULT_NO_SPACE,
		.limit = 2 * test->page,
		.used = 2 * test->page };
	void *at = mmap(NULL, 3 * test->page, PROT_READ, MAP_SHARED, fd, 0);
	int r = 0;

	if (at == MAP_FAILED)
		return -errno;
	if (pwrite(fd, "", 1, 0) != 1)
		r = -errno;
	if (r == 0)
		r = expect(test, FAULT_CASE_SPACE, at, fd, 2, &space);
	if (r == 0 && pwrite(fd, "", 1, test->page) != 1)
		r = -errno;
	if (r == 0)
		r = expect(test, FAULT_CASE_FULL, at, fd, 2, &full);
	munmap(at, 3 * test->page);
	return r;
}

static int test_tmpfs(struct test *test)
{
	g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, 2 * test->page);

	auto_fd dir = tmpfs_new(size);
	if (dir < 0)
		return dir == -EPERM ? 0 : dir;
	auto_fd fd = openat(dir, "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 3 * test->page) < 0)
		return -errno;
	return test_filling(test, fd);
}

int fault_self_test(struct fault_programs *programs, enum fault_case fault, const char **why)
{
	struct test test = {
		.programs = programs,
		.fault = fault,
		.page = sysconf(_SC_PAGESIZE),
	};
	int r = test_memfd(&test);

	if (r == 0)
		r = test_tmpfs(&test);
	if (r < 0)
		*why = test.at == FAULT_CASE_NONE || r != -ENOTSUP ?
			"self-test: its files could not be made" :
			failures[test.at];
	return r;
}

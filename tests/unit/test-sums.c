/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all files of a tmpfs take together, as the kernel's list of its inodes has it. */
#include "base/tmpfs.h"
#include "base/util.h"
#include "census/object/sums.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define PAGES 3
/* So few that what goes is often where a walk is. */
#define FILES 200
#define LONG_ENOUGH_US (3 * G_USEC_PER_SEC)

static int dir;
static gint ending, not_made;

static bool make(unsigned number)
{
	char name[16];

	snprintf(name, sizeof name, "%u", number);
	auto_fd fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd >= 0;
}

/* Wherever a walk is: the list has the files in the order in which they were made. */
static gpointer make_anew(gpointer data)
{
	GRand *random = g_rand_new_with_seed(1);
	char name[16];

	(void)data;
	while (!g_atomic_int_get(&ending)) {
		unsigned number = (unsigned)g_rand_int_range(random, 0, FILES);

		snprintf(name, sizeof name, "%u", number);
		unlinkat(dir, name, 0);
		/* CUnit is for one thread. */
		if (!make(number))
			g_atomic_int_inc(&not_made);
	}
	g_rand_free(random);
	return NULL;
}

static const struct super_sum *sum_of(const GArray *sums, uint64_t dev)
{
	for (guint i = 0; i < sums->len; i++)
		if (g_array_index(sums, struct super_sum, i).dev == dev)
			return &g_array_index(sums, struct super_sum, i);
	return NULL;
}

/* 1 if the sum is right, -1 if not; 0 if there was none, as inodes came and went all the while. */
static int is_right(struct sums *sums, uint64_t dev)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct super_sum));
	int r = sums_read(sums, all);
	const struct super_sum *sum = sum_of(all, dev);

	if (r == -EAGAIN)
		return 0;
	ASSERT_INT(r, 0);
	CU_ASSERT_PTR_NOT_NULL(sum);
	if (!sum)
		return -1;
	ASSERT_INT(sum->resident, PAGES * sysconf(_SC_PAGESIZE));
	return sum->resident == (uint64_t)(PAGES * sysconf(_SC_PAGESIZE)) ? 1 : -1;
}

/*
 * The file that has pages is the oldest, and so the last of the list: a walk that went on in another list, or at a
 * file that was freed, misses it.
 */
static void make_files(struct stat *st)
{
	const ssize_t size = PAGES * sysconf(_SC_PAGESIZE);
	g_autofree char *content = g_malloc0((gsize)size);

	auto_fd fd = openat(dir, "oldest", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && write(fd, content, (size_t)size) == size);
	CU_ASSERT_FATAL(fstat(fd, st) == 0);
	for (unsigned i = 0; i < FILES; i++)
		CU_ASSERT(make(i));
}

static void files_that_come_and_go_change_no_sum_of_others(void)
{
	struct sums *sums = sums_new();
	g_autoptr(GArray) first = g_array_new(FALSE, FALSE, sizeof(struct super_sum));
	gint64 until = g_get_monotonic_time() + LONG_ENOUGH_US;
	unsigned right = 0;
	GThread *thread;
	struct stat st;

	dir = tmpfs_new(NULL);
	if (dir < 0 || sums_read(sums, first) == -ENOTSUP) {
		closep(&dir);
		sums_free(sums);
		SKIP("no tmpfs, or no BPF, is to be had here");
	}
	make_files(&st);
	g_atomic_int_set(&ending, FALSE);
	g_atomic_int_set(&not_made, 0);
	thread = g_thread_new("anew", make_anew, NULL);
	for (int r = 1; r >= 0 && g_get_monotonic_time() < until;) {
		r = is_right(sums, st.st_dev);
		right += r > 0;
	}
	g_atomic_int_set(&ending, TRUE);
	g_thread_join(thread);
	ASSERT_INT(g_atomic_int_get(&not_made), 0);
	if (right == 0)
		unit_skip("files came and went all the while: no sum was to be had");
	closep(&dir);
	sums_free(sums);
}

static CU_TestInfo tests[] = {
	{ "files that come and go change no sum of others",
		files_that_come_and_go_change_no_sum_of_others },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sums_suite = { "sums", NULL, NULL, NULL, NULL, tests };

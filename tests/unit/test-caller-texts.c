/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What texts of procfs tell of a caller: what it opens, and the ids of its user namespace. */
#include "caller/opening.h"
#include "procfs/id-map.h"

#include "base/util.h"
#include "unit.h"

#include <fcntl.h>
#include <sys/syscall.h>

/* What a thread in system call `number` is about to do, if its first arguments are these. */
static enum opening opening_in(long number, unsigned long second, unsigned long third)
{
	g_autofree char *text = g_strdup_printf("%ld 0xffffff9c 0x%lx 0x%lx 0x0 0x0 0x0 0x1 0x2\n",
		number, second, third);

	return opening_parse(text, "cat");
}

static void what_a_thread_opens_is_in_its_system_call(void)
{
	ASSERT_INT(opening_in(SYS_openat, 0x1000, O_CREAT | O_RDWR), OPENING_WITH_CREAT);
	ASSERT_INT(opening_in(SYS_openat, O_CREAT, O_RDWR), OPENING_WITHOUT_CREAT);
	ASSERT_INT(opening_in(SYS_openat2, 0x1000, 0x2000), OPENING_UNKNOWN);
	ASSERT_INT(opening_in(SYS_ioctl, O_CREAT, O_CREAT), OPENING_WITHOUT_CREAT);
	ASSERT_INT(opening_in(SYS_io_uring_enter, 0, 0), OPENING_UNKNOWN);
#ifdef SYS_open
	ASSERT_INT(opening_in(SYS_open, O_CREAT, 0), OPENING_WITH_CREAT);
	ASSERT_INT(opening_in(SYS_open, O_RDWR, O_CREAT), OPENING_WITHOUT_CREAT);
	ASSERT_INT(opening_in(SYS_creat, 0600, 0), OPENING_WITH_CREAT);
#endif
#if defined __x86_64__ || defined __aarch64__
	/* Of a 32-bit program. */
	ASSERT_INT(opening_in(5, O_CREAT, 0), OPENING_WITH_CREAT);
	ASSERT_INT(opening_in(5, O_RDWR, O_CREAT), OPENING_WITHOUT_CREAT);
	ASSERT_INT(opening_in(8, 0600, 0), OPENING_WITH_CREAT);
#endif
#ifdef __x86_64__
	ASSERT_INT(opening_in(295, 0x1000, O_CREAT), OPENING_WITH_CREAT);
	ASSERT_INT(opening_in(295, O_CREAT, O_RDWR), OPENING_WITHOUT_CREAT);
	/* Of a program for x32. */
	ASSERT_INT(opening_in(0x40000000 + SYS_openat, 0x1000, O_CREAT), OPENING_WITH_CREAT);
#endif
	ASSERT_INT(opening_parse("running\n", "cat"), OPENING_UNKNOWN);
	ASSERT_INT(opening_parse("", "cat"), OPENING_UNKNOWN);
	ASSERT_INT(opening_parse("-1 0x7ffc 0x7f5\n", "kworker/0:1"), OPENING_WITHOUT_CREAT);
	ASSERT_INT(opening_parse("-1 0x7ffc 0x7f5\n", "iou-wrk-77"), OPENING_UNKNOWN);
}

static void the_ids_of_a_namespace_are_read_to_the_last_line(void)
{
	g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(struct id_range));

	id_map_parse("         0       1000          1\n         1     100000      65536\n", map);
	ASSERT_INT(map->len, 2);
	CU_ASSERT_TRUE(id_map_is_root(map, 1000));
	CU_ASSERT_FALSE(id_map_is_root(map, 100000));
	CU_ASSERT_PTR_NOT_NULL(id_map_find(map, 165535));
	CU_ASSERT_PTR_NULL(id_map_find(map, 165536));
	CU_ASSERT_PTR_NULL(id_map_find(map, 1001));
	CU_ASSERT_PTR_NULL(id_map_find(map, 0));
	CU_ASSERT_FALSE(id_map_is_root(map, 1001));
	/* The last line may have no end, and what comes after a line that is none is not read. */
	g_array_set_size(map, 0);
	id_map_parse("0 5 1\n1 6 1", map);
	id_map_parse("nothing\n0 7 1\n", map);
	ASSERT_INT(map->len, 2);
}

/* Else a caller could have rights by a line that is cut. */
static void a_map_that_is_not_whole_has_no_ids(void)
{
	g_autofree char *directory = g_dir_make_tmp("shmtree-map-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(directory, "uid_map", NULL);
	g_autofree char *text = g_strnfill(20000, ' ');
	auto_fd dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int whole = 0; whole < 3; whole++) {
		GArray *map;

		memcpy(text, "0 5 1\n", 6);
		if (whole < 2) {
			CU_ASSERT(g_file_set_contents(path, text, whole ? 100 : -1, NULL));
		} else {
			unlink(path);
		}
		map = id_map_read(dir, "uid_map");
		ASSERT_INT(map->len, whole == 1);
		g_array_unref(map);
	}
	rmdir(directory);
}

static CU_TestInfo tests[] = {
	{ "the ids of a namespace are read to the last line",
		the_ids_of_a_namespace_are_read_to_the_last_line },
	{ "a map that is not whole has no ids", a_map_that_is_not_whole_has_no_ids },
	{ "what a thread opens is in its system call", what_a_thread_opens_is_in_its_system_call },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo caller_texts_suite = { "caller texts", NULL, NULL, NULL, NULL, tests };

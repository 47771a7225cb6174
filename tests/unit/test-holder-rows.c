/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's lists say of files in sockets and rings, put together. */
#include "census/object/holder-rows.h"

#include "unit.h"

#include "census/object/holder-records.h"

#include <string.h>

#ifdef HAVE_BPF
static GArray *records, *rows;

static void set_up(void)
{
	records = g_array_new(FALSE, FALSE, sizeof(struct seen_holder));
	rows = g_array_new(FALSE, FALSE, sizeof(struct holder));
}

static void tear_down(void)
{
	g_array_unref(records);
	g_array_unref(rows);
}

/* A file in the queue of a socket, of which process `pid` has a descriptor; 0: none is known. */
static struct seen_holder *in_socket(uint64_t socket, pid_t pid, uint64_t file, uint64_t inode)
{
	const struct seen_holder record = { .queue = socket,
		.queue_ino = socket + 1000,
		.file = file,
		.inode = inode,
		.flags = 2,
		.pid = pid,
		.task = pid,
		.uid = pid * 10,
		.fd = 3,
		.command = "who" };

	g_array_append_val(records, record);
	return &g_array_index(records, struct seen_holder, records->len - 1);
}

/* One that is registered with a ring, which a process has as that descriptor (-1: its threads). */
static void in_ring(uint64_t ring, pid_t pid, int fd, uint64_t file, uint64_t inode)
{
	struct seen_holder *record = in_socket(0, pid, file, inode);

	record->queue_ino = 0;
	record->ring = ring;
	record->fd = fd;
}

static void assert_row(guint at, enum holder_type type, uint64_t number, pid_t pid, uint64_t file,
	uint64_t inode)
{
	const struct holder *row = &g_array_index(rows, struct holder, at);

	CU_ASSERT_FATAL(at < rows->len);
	ASSERT_INT(row->type, type);
	ASSERT_INT(row->number, number);
	ASSERT_INT(row->pid, pid);
	ASSERT_INT(row->file, file);
	ASSERT_INT(row->inode, inode);
	ASSERT_INT(row->uid, pid * 10);
	ASSERT_INT(row->flags, 2);
}

static void rows_are_in_order_and_each_once(void)
{
	in_ring(50, 9, 4, 1, 200);
	in_socket(7, 8, 3, 100);
	in_ring(50, 8, 3, 2, 100);
	in_socket(7, 8, 2, 100);
	in_socket(7, 6, 3, 100);
	in_socket(6, 8, 3, 100);
	in_socket(7, 8, 3, 100);
	in_ring(50, 8, 3, 2, 100);
	holder_rows(records, rows);
	ASSERT_INT(rows->len, 6);
	assert_row(0, HOLDER_SOCKET, 1006, 8, 3, 100);
	assert_row(1, HOLDER_SOCKET, 1007, 6, 3, 100);
	assert_row(2, HOLDER_SOCKET, 1007, 8, 2, 100);
	assert_row(3, HOLDER_SOCKET, 1007, 8, 3, 100);
	assert_row(4, HOLDER_RING, 3, 8, 2, 100);
	assert_row(5, HOLDER_RING, 4, 9, 1, 200);
	ASSERT_STRING(g_array_index(rows, struct holder, 0).command, "who");
}

/* Of a ring that some process has open, its threads are not named. */
static void a_rings_threads_stand_for_one_that_nobody_has(void)
{
	in_ring(50, 9, -1, 1, 100);
	in_ring(50, 8, 3, 1, 100);
	in_ring(60, 9, -1, 1, 100);
	holder_rows(records, rows);
	ASSERT_INT(rows->len, 2);
	assert_row(0, HOLDER_RING, 3, 8, 1, 100);
	assert_row(1, HOLDER_RING, HOLDER_NO_NUMBER, 9, 1, 100);
}

/* It is in the queue of another one, which a process has; or nobody can receive it. */
static void a_socket_that_nobody_has_is_followed(void)
{
	in_socket(7, 0, 3, 100);
	in_socket(6, 0, 70, 0)->socket = 7;
	in_socket(5, 4, 60, 0)->socket = 6;
	in_socket(5, 2, 60, 0)->socket = 6;
	in_socket(9, 0, 3, 100);
	holder_rows(records, rows);
	ASSERT_INT(rows->len, 3);
	assert_row(0, HOLDER_SOCKET, 1007, 2, 3, 100);
	assert_row(1, HOLDER_SOCKET, 1007, 4, 3, 100);
	assert_row(2, HOLDER_SOCKET, 1009, 0, 3, 100);
}

#else
static void set_up(void)
{
	unit_skip("shmtree was built without BPF");
}

static void tear_down(void)
{
}

static void rows_are_in_order_and_each_once(void)
{
}

static void a_rings_threads_stand_for_one_that_nobody_has(void)
{
}

static void a_socket_that_nobody_has_is_followed(void)
{
}
#endif

static CU_TestInfo tests[] = {
	{ "rows are in order, and each once", rows_are_in_order_and_each_once },
	{ "a ring's threads stand for one that nobody has",
		a_rings_threads_stand_for_one_that_nobody_has },
	{ "a socket that nobody has is followed", a_socket_that_nobody_has_is_followed },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo holder_rows_suite = { "holder_rows", NULL, NULL, set_up, tear_down, tests };

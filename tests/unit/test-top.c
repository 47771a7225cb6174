/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What shmtop makes of the mount's tables, without a terminal. */
#include "base/cells.h"
#include "top/look.h"

#include "unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct top_model model;

static void set_up(void)
{
	top_model_init(&model, &top_views[0]);
}

static void tear_down(void)
{
	top_model_clear(&model);
}

#define HEADER "KIND\tID\tNAME\tUID\tALLOCATED\tMAPPINGS\tPROCESSES\tOPENERS\tSTATE\n"

static void take(const char *rows, int64_t seconds)
{
	g_autofree char *text = g_strconcat(HEADER, rows, NULL);

	top_model_take(&model, table_parse(text), seconds * G_USEC_PER_SEC);
}

static const struct top_row *row(guint index)
{
	CU_ASSERT_FATAL(index < model.rows->len);
	return &g_array_index(model.rows, struct top_row, index);
}

static void assert_cell(guint index, const char *title, const char *wanted)
{
	g_autoptr(GString) cell = g_string_new(NULL);
	const struct top_column *column = model.view->columns;

	while (strcmp(column->title, title) != 0)
		column++;
	top_model_cell(&model, row(index), column, cell);
	ASSERT_STRING(cell->str, wanted);
}

static void a_table_is_taken_apart(void)
{
	struct table *table =
		table_parse("A\tB\n1\tx\\011y\nshort\n2\t-\n# not read: 1 processes\n");

	ASSERT_INT(table->rows->len, 2);
	ASSERT_STRING(table->remark, "not read: 1 processes");
	ASSERT_STRING(table_value(table, 0, table_column(table, "B")), "x\\011y");
	ASSERT_STRING(table_value(table, 0, table_column(table, "C")), "");
	ASSERT_INT(table_number("18446744073709551615"), -1);
	ASSERT_INT(table_number("unknown"), -1);
	ASSERT_INT(table_number("12"), 12);
	table_free(table);
	table = table_parse("");
	ASSERT_INT(table_column(table, "A"), -1);
	table_free(table);
	table = table_parse("\n\nA\n\n1");
	ASSERT_STRING(table_value(table, 0, 0), "1");
	table_free(table);
	table_free(NULL);
}

static void a_table_is_read_whole_or_not_at_all(void)
{
	g_autofree char *directory = g_dir_make_tmp("shmtree-table-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(directory, "table", NULL);
	struct table *table = NULL;

	ASSERT_INT(table_read(path, &table), -ENOENT);
	CU_ASSERT(g_file_set_contents(path, "A\n1\n", -1, NULL));
	ASSERT_INT(table_read(path, &table), 0);
	ASSERT_INT(table->rows->len, 1);
	table_free(table);
	table = NULL;
	ASSERT_INT(table_read(directory, &table), -EISDIR);
	CU_ASSERT_PTR_NULL(table);
	unlink(path);
	rmdir(directory);
}

static void growth_is_since_the_first_look_and_the_last(void)
{
	take("posix\ta\ta\t0\t4096\t0\t0\t0\tidle\nposix\tb\tb\t0\t8192\t1\t1\t0\tmapped\n", 10);
	assert_cell(0, "NAME", "b");
	assert_cell(0, "GROWN", "0");
	assert_cell(0, "/S", "0");
	take("posix\ta\ta\t0\t12288\t0\t0\t0\tidle\nposix\tb\tb\t0\t4096\t1\t1\t0\tmapped\n", 12);
	assert_cell(0, "NAME", "a");
	assert_cell(0, "GROWN", "+8.0K");
	assert_cell(0, "/S", "+4.0K");
	assert_cell(1, "GROWN", "-4.0K");
	take("posix\tc\tc\t0\t4096\t0\t0\t0\tidle\nposix\ta\ta\t0\t12288\t0\t0\t0\tidle\n", 13);
	assert_cell(0, "GROWN", "+8.0K");
	assert_cell(0, "/S", "0");
	assert_cell(1, "NAME", "c");
	assert_cell(1, "GROWN", "+4.0K");
	/* One that was gone is another one. */
	take("posix\tb\tb\t0\t4096\t1\t1\t0\tmapped\n", 14);
	assert_cell(0, "GROWN", "+4.0K");
}

static void rows_are_sorted_and_filtered(void)
{
	take("posix\tz\tz\t0\t1\t0\t0\t0\tidle\nsysv\t7\tkey\t0\t2\t0\t0\t0\tmapped\n"
	     "posix\ty\ty\t0\tunknown\t0\t0\t0\tidle\n",
		1);
	assert_cell(2, "ALLOC", "?");
	model.sort = 1;
	top_model_arrange(&model);
	assert_cell(0, "NAME", "key");
	model.backwards = true;
	top_model_arrange(&model);
	assert_cell(0, "NAME", "z");
	g_free(model.filter);
	model.filter = g_strdup("POSI");
	top_model_arrange(&model);
	ASSERT_INT(model.rows->len, 2);
	ASSERT_INT(top_model_find(&model, "posix\ty\t"), 1);
	ASSERT_INT(top_model_find(&model, "sysv\t7\t"), -1);
	ASSERT_INT(top_model_sum(&model, "ALLOCATED"), 3);
}

static void assert_directory(guint index, const char *wanted)
{
	g_autofree char *directory = look_directory("/m", &model, index);

	ASSERT_STRING(directory, wanted);
}

static void a_row_has_a_directory(void)
{
	take("posix\ta\\011\\134b\tn\t0\t1\t0\t0\t0\tidle\nsysv\t7\tn\t0\t1\t0\t0\t0\tidle\n"
	     "memfd\tmemfd-x-1\tn\t0\t1\t0\t0\t0\tidle\nnested\t5\tn\t0\t1\t0\t0\t0\tidle\n",
		1);
	assert_directory(0, "/m/.shmtree/posix/a\t\\b");
	assert_directory(1, "/m/.shmtree/sysv/7");
	assert_directory(2, "/m/.shmtree/unlinked/memfd-x-1");
	assert_directory(3, "/m/.shmtree/nested/5");
}

static void assert_fit(const char *text, size_t width, bool right, const char *wanted)
{
	g_autoptr(GString) out = g_string_new(NULL);

	cells_fit(out, text, width, right);
	ASSERT_STRING(out->str, wanted);
}

static void text_fits_its_cells(void)
{
	assert_fit("ab", 4, false, "ab  ");
	assert_fit("ab", 4, true, "  ab");
	assert_fit("abcde", 4, false, "abc+");
	assert_fit("漢字漢", 4, false, "漢+ ");
	assert_fit("漢字", 4, false, "漢字");
	assert_fit("abc", 0, false, "");
}

static void a_terminal_of_ascii_has_as_many_cells(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	cells_ascii(out, "a\303\244\346\274\242e\314\201z");
	ASSERT_STRING(out->str, "a???ez");
}

static void an_error_tells_whether_the_mount_is_gone(void)
{
	CU_ASSERT(look_is_gone(-ENOTCONN) && look_is_gone(-ENOENT));
	CU_ASSERT(!look_is_gone(0) && !look_is_gone(-EIO) && !look_is_gone(-EINTR));
}

static CU_TestInfo tests[] = {
	{ "a table is taken apart", a_table_is_taken_apart },
	{ "a table is read whole or not at all", a_table_is_read_whole_or_not_at_all },
	{ "growth is since the first look and the last",
		growth_is_since_the_first_look_and_the_last },
	{ "rows are sorted and filtered", rows_are_sorted_and_filtered },
	{ "a row has a directory", a_row_has_a_directory },
	{ "text fits its cells", text_fits_its_cells },
	{ "a terminal of ASCII has as many cells", a_terminal_of_ascii_has_as_many_cells },
	{ "an error tells whether the mount is gone", an_error_tells_whether_the_mount_is_gone },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo top_suite = { "top", NULL, NULL, set_up, tear_down, tests };

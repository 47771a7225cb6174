/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "tree/content.h"

#include <stdlib.h>
#include <string.h>

#define ROWS 1000 /* some pieces, the last of them not full */

static size_t rendered, freed;

/* Rows of different lengths, as many times as one asks. */
static void render(const void *data, size_t row, GString *out)
{
	(void)data;
	rendered++;
	g_string_append_printf(out, "row %zu%.*s\n", row, (int)(row % 7), "......");
}

static void count_freed(gpointer data)
{
	(void)data;
	freed++;
}

static struct content *content_of_rows(size_t n)
{
	struct content *content = content_new();

	content->rows = (struct view_rows){ .n = n,
		.format = render,
		.snapshot = &rendered,
		.bytes = 12345,
		.free = count_freed };
	return content;
}

static GString *whole(size_t n)
{
	GString *text = g_string_new(NULL);

	for (size_t row = 0; row < n; row++)
		render(NULL, row, text);
	return text;
}

static void assert_piece(struct content *content, const GString *text, gsize offset, gsize size)
{
	g_autofree char *buf = g_malloc(size);
	gsize left = offset < text->len ? text->len - offset : 0, expected = MIN(size, left);

	ASSERT_INT(content_read(content, buf, size, offset), expected);
	CU_ASSERT(memcmp(buf, text->str + MIN(offset, text->len), expected) == 0);
}

static void a_text_is_read_from_any_offset(void)
{
	struct content *content = content_new();
	GString *text = g_string_new("some text");

	g_string_assign(content->text, text->str);
	for (gsize offset = 0; offset <= text->len + 1; offset++)
		for (gsize size = 1; size <= text->len + 1; size++)
			assert_piece(content, text, offset, size);
	content_unref(content);
	g_string_free(text, TRUE);
}

static void rows_read_forwards_are_the_whole(void)
{
	static const gsize sizes[] = { 1, 3, 4096, 1 << 20 };
	GString *text = whole(ROWS);

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct content *content = content_of_rows(ROWS);

		for (gsize at = 0; at <= text->len; at += sizes[i])
			assert_piece(content, text, at, sizes[i]);
		content_unref(content);
	}
	g_string_free(text, TRUE);
}

static void rows_are_read_from_any_offset_in_any_order(void)
{
	struct content *content = content_of_rows(ROWS);
	GString *text = whole(ROWS);

	assert_piece(content, text, text->len - 1, 10);
	for (gsize at = text->len; at > 200; at -= 199)
		assert_piece(content, text, at, 500);
	assert_piece(content, text, 0, text->len);
	content_unref(content);
	g_string_free(text, TRUE);
}

static void beyond_the_end_there_is_nothing(void)
{
	struct content *content = content_of_rows(ROWS);
	GString *text = whole(ROWS);
	char byte;

	ASSERT_INT(content_read(content, &byte, 1, text->len), 0);
	ASSERT_INT(content_read(content, &byte, 1, G_MAXINT64 - 1), 0);
	content_unref(content);
	content = content_new();
	ASSERT_INT(content_read(content, &byte, 1, 0), 0);
	content_unref(content);
	g_string_free(text, TRUE);
}

static void a_row_is_not_rendered_again_while_its_piece_is_read(void)
{
	struct content *content = content_of_rows(100);
	char byte;

	rendered = 0;
	for (gsize at = 0; at < 100; at++)
		content_read(content, &byte, 1, at);
	ASSERT_INT(rendered, 100);
	content_unref(content);
}

static void its_rows_are_charged_for_and_freed_once(void)
{
	struct content *content = content_of_rows(ROWS);
	size_t bytes = content_bytes(content);
	char byte;

	CU_ASSERT(bytes >= 12345);
	content_read(content, &byte, 1, 5000);
	ASSERT_INT(content_bytes(content), bytes);
	freed = 0;
	content_unref(content);
	ASSERT_INT(freed, 1);
}

static CU_TestInfo tests[] = {
	{ "a text is read from any offset", a_text_is_read_from_any_offset },
	{ "rows read forwards are the whole", rows_read_forwards_are_the_whole },
	{ "rows are read from any offset, in any order",
		rows_are_read_from_any_offset_in_any_order },
	{ "beyond the end there is nothing", beyond_the_end_there_is_nothing },
	{ "a row is not rendered again while its piece is read",
		a_row_is_not_rendered_again_while_its_piece_is_read },
	{ "its bytes stay the same, and its rows are freed once",
		its_rows_are_charged_for_and_freed_once },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo content_suite = { "content", NULL, NULL, NULL, NULL, tests };

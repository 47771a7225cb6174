/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows in as few bytes as they need, and the budget that bounds them. */
#include "base/packed.h"

#include "unit.h"

#include <errno.h>

static const uint64_t numbers[] = { 0, 1, 127, 128, 255, 4095, 4096, 4097, 16383, 16384, UINT32_MAX,
	UINT64_C(1) << 52, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 4095, UINT64_MAX };

static void what_is_written_is_read(void)
{
	const struct timespec near = { 1764139000, 5 },
			      times[] = { near, { 0, 0 }, { -1, 999999999 }, { INT64_MAX, 0 },
				      { INT64_MIN, 999999999 } };
	struct packed_rows rows;

	packed_rows_init(&rows, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
		packed_number(&rows, numbers[i]);
		packed_address(&rows, numbers[i]);
		packed_text(&rows, i % 2 ? "text" : "");
		packed_signed(&rows, (int64_t)numbers[i]);
		packed_signed(&rows, -(int64_t)(numbers[i] / 2));
		packed_time(&rows, &times[i % G_N_ELEMENTS(times)], &near);
		packed_row_end(&rows);
	}
	packed_rows_end(&rows);
	ASSERT_INT(rows.n, G_N_ELEMENTS(numbers));
	for (size_t i = rows.n; i-- > 0;) {
		const uint8_t *at = packed_row(&rows, i);
		struct timespec time;

		CU_ASSERT(packed_get_number(&at) == numbers[i]);
		CU_ASSERT(packed_get_address(&at) == numbers[i]);
		ASSERT_STRING(packed_get_text(&at), i % 2 ? "text" : "");
		CU_ASSERT(packed_get_signed(&at) == (int64_t)numbers[i]);
		CU_ASSERT(packed_get_signed(&at) == -(int64_t)(numbers[i] / 2));
		time = packed_get_time(&at, &near);
		ASSERT_INT(time.tv_sec, times[i % G_N_ELEMENTS(times)].tv_sec);
		ASSERT_INT(time.tv_nsec, times[i % G_N_ELEMENTS(times)].tv_nsec);
	}
	packed_rows_clear(&rows);
}

/* Every so manyth row is marked, and from there it is stepped to the others. */
static void each_of_many_rows_is_found(void)
{
	struct packed_rows rows;

	packed_rows_init(&rows, NULL);
	for (uint64_t i = 0; i < 1000; i++) {
		packed_number(&rows, i * i);
		packed_row_end(&rows);
	}
	for (uint64_t i = 0; i < 1000; i++) {
		const uint8_t *at = packed_row(&rows, i);

		CU_ASSERT(packed_get_number(&at) == i * i);
	}
	CU_ASSERT(packed_rows_bytes(&rows) > 3000 && packed_rows_bytes(&rows) < 5000);
	packed_rows_clear(&rows);
}

static void what_is_small_or_whole_pages_takes_few_bytes(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	packed_append(bytes, 127);
	ASSERT_INT(bytes->len, 1);
	packed_append(bytes, 128);
	ASSERT_INT(bytes->len, 3);
	packed_append_address(bytes, 127 * 4096);
	ASSERT_INT(bytes->len, 4);
	packed_append(bytes, UINT64_MAX);
	ASSERT_INT(bytes->len, 14);
}

struct source {
	size_t left;
	unsigned asked;
};

static int grant(void *data, size_t bytes)
{
	struct source *source = data;

	source->asked++;
	if (bytes > source->left)
		return -ENOMEM;
	source->left -= bytes;
	return 0;
}

static void a_budget_bounds_what_is_used(void)
{
	struct source source = { .left = 1000 };
	struct budget budget = { .more = grant, .data = &source };

	CU_ASSERT(budget_use(NULL, SIZE_MAX));
	CU_ASSERT(budget_use(&budget, 800));
	ASSERT_INT(source.left, 200);
	/* More than is lacking is asked for, so as to ask seldom: an eighth of what is used. */
	CU_ASSERT(budget_use(&budget, 1));
	ASSERT_INT(source.left, 100);
	CU_ASSERT(budget_use(&budget, 99));
	ASSERT_INT(source.asked, 2);
	CU_ASSERT(!budget_use(&budget, 1));
	ASSERT_INT(budget.error, -ENOMEM);
	/* From then on nothing is asked for. */
	CU_ASSERT(!budget_use(&budget, 0));
	ASSERT_INT(source.asked, 3);
}

static void rows_beyond_the_budget_are_left_out(void)
{
	struct source source = { .left = 20 };
	struct budget budget = { .more = grant, .data = &source };
	struct packed_rows rows;
	const uint8_t *at;

	packed_rows_init(&rows, &budget);
	for (int i = 0; i < 3; i++) {
		packed_text(&rows, i == 2 ? "a long one, for which no room is left" : "12345678");
		packed_row_end(&rows);
	}
	ASSERT_INT(rows.n, 2);
	ASSERT_INT(budget.error, -ENOMEM);
	at = packed_row(&rows, 1);
	ASSERT_STRING(packed_get_text(&at), "12345678");
	packed_rows_clear(&rows);
}

static CU_TestInfo tests[] = {
	{ "what is written is read", what_is_written_is_read },
	{ "each of many rows is found", each_of_many_rows_is_found },
	{ "what is small or whole pages takes few bytes",
		what_is_small_or_whole_pages_takes_few_bytes },
	{ "a budget bounds what is used", a_budget_bounds_what_is_used },
	{ "rows beyond the budget are left out", rows_beyond_the_budget_are_left_out },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo packed_suite = { "packed", NULL, NULL, NULL, NULL, tests };

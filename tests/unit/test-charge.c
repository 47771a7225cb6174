/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "daemon/charge.h"

#include <errno.h>
#include <stdlib.h>

static struct charges *charges;

static void set_up(void)
{
	charges = charges_new();
}

static void tear_down(void)
{
	charges_free(charges);
}

static int take(uid_t uid, uint64_t amount, struct charge *out)
{
	return charge_take(charges, uid, CHARGE_LISTINGS, amount, out);
}

static void a_user_gets_up_to_the_limit_and_no_more(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge most, last, beyond;

	ASSERT_INT(take(1000, limit - 1, &most), 0);
	ASSERT_INT(take(1000, 2, &beyond), -EMFILE);
	CU_ASSERT_PTR_NULL(beyond.user);
	ASSERT_INT(take(1000, 1, &last), 0);
	ASSERT_INT(take(1000, 1, &beyond), -EMFILE);
	charge_release(&beyond);
	charge_release(&last);
	ASSERT_INT(take(1000, 1, &last), 0);
	charge_release(&last);
	charge_release(&most);
}

static void one_user_takes_nothing_from_another(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge mine, theirs;

	ASSERT_INT(take(1000, limit, &mine), 0);
	ASSERT_INT(take(1001, limit, &theirs), 0);
	charge_release(&theirs);
	charge_release(&mine);
}

static void one_resource_takes_nothing_from_another(void)
{
	struct charge listings, bytes;

	ASSERT_INT(take(1000, charges_limit(charges, CHARGE_LISTINGS), &listings), 0);
	ASSERT_INT(charge_take(charges, 1000, CHARGE_BYTES, 1, &bytes), 0);
	charge_release(&bytes);
	charge_release(&listings);
}

static void a_user_with_nothing_gets_any_amount_once(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge large, more;

	ASSERT_INT(take(1000, 3 * limit, &large), 0);
	ASSERT_INT(take(1000, 1, &more), -EMFILE);
	charge_release(&large);
	ASSERT_INT(take(1000, 1, &more), 0);
	charge_release(&more);
}

static void root_has_a_multiple_and_all_descriptors(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge listings, first, all;

	ASSERT_INT(take(0, 1, &first), 0);
	ASSERT_INT(take(0, 2 * limit, &listings), 0);
	ASSERT_INT(take(0, 100 * limit, &all), -EMFILE);
	charge_release(&listings);
	charge_release(&first);
	ASSERT_INT(charge_take(charges, 0, CHARGE_DESCRIPTORS, 1, &first), 0);
	ASSERT_INT(charge_take(charges, 0, CHARGE_DESCRIPTORS, UINT64_MAX - 1, &all), 0);
	charge_release(&all);
	charge_release(&first);
}

static void a_charge_is_given_back_once(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge one, moved, rest;

	ASSERT_INT(take(1000, limit, &one), 0);
	moved = charge_move(&one);
	charge_release(&one);
	ASSERT_INT(take(1000, 1, &rest), -EMFILE);
	charge_release(&moved);
	charge_release(&moved);
	ASSERT_INT(take(1000, limit, &rest), 0);
	charge_release(&rest);
}

static void a_scope_gives_back_what_was_not_moved_out(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge again;

	{
		auto_charge charge = { 0 };

		ASSERT_INT(take(1000, limit, &charge), 0);
	}
	ASSERT_INT(take(1000, limit, &again), 0);
	charge_release(&again);
}

static CU_TestInfo tests[] = {
	{ "a user gets up to the limit and no more", a_user_gets_up_to_the_limit_and_no_more },
	{ "one user takes nothing from another", one_user_takes_nothing_from_another },
	{ "one resource takes nothing from another", one_resource_takes_nothing_from_another },
	{ "a user with nothing gets any amount, once", a_user_with_nothing_gets_any_amount_once },
	{ "root has a multiple, and all descriptors", root_has_a_multiple_and_all_descriptors },
	{ "a charge is given back once, whoever moved it", a_charge_is_given_back_once },
	{ "a scope gives back what was not moved out", a_scope_gives_back_what_was_not_moved_out },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo charge_suite = { "charge", NULL, NULL, set_up, tear_down, tests };

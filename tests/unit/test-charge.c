/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "daemon/charge.h"

#include <errno.h>
#include <stdlib.h>

static struct charges *charges;

/* User 1000 has user ids from 100000 on. */
static uint64_t account_of(const struct caller *caller)
{
	return caller->uid >= 100000 ? 1000 : caller->uid;
}

static void set_up(void)
{
	charges = charges_new(account_of);
}

static void tear_down(void)
{
	charges_free(charges);
}

static int take_of(enum charge_resource resource, uid_t uid, uint64_t amount, struct charge *out)
{
	const struct caller caller = { .uid = uid };

	return charge_take(charges, &caller, resource, amount, out);
}

static int take(uid_t uid, uint64_t amount, struct charge *out)
{
	return take_of(CHARGE_LISTINGS, uid, amount, out);
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

/* Who takes all they may leaves as much to the others together, and the next leaves half of that. */
static void something_is_left_for_each_user(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge first, second, third, beyond;

	ASSERT_INT(take(1000, limit, &first), 0);
	ASSERT_INT(take(1001, limit / 2 + 1, &beyond), -EMFILE);
	ASSERT_INT(take(1001, limit / 2, &second), 0);
	ASSERT_INT(take(1002, limit / 4 + 1, &beyond), -EMFILE);
	ASSERT_INT(take(1002, limit / 4, &third), 0);
	charge_release(&first);
	ASSERT_INT(take(1003, limit / 2, &first), 0);
	charge_release(&third);
	charge_release(&second);
	charge_release(&first);
}

static void a_little_is_left_for_the_last(void)
{
	struct charge all[64], little, beyond;
	uint64_t amount = charges_limit(charges, CHARGE_LISTINGS);
	unsigned n = 0;

	for (; n < G_N_ELEMENTS(all) && amount > 0; n++, amount /= 2)
		ASSERT_INT(take(1000 + n, amount, &all[n]), 0);
	ASSERT_INT(take(2000, 17, &beyond), -EMFILE);
	ASSERT_INT(take(2000, 16, &little), 0);
	ASSERT_INT(take(2000, 1, &beyond), -EMFILE);
	charge_release(&little);
	while (n > 0)
		charge_release(&all[--n]);
}

static void the_ids_of_one_user_are_one_account(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge first, second, own, other, beyond;

	ASSERT_INT(take(100001, limit / 2 + 1, &beyond), -EMFILE);
	ASSERT_INT(take(100001, limit / 2, &first), 0);
	ASSERT_INT(take(100002, limit / 4 + 1, &beyond), -EMFILE);
	ASSERT_INT(take(100002, limit / 4, &second), 0);
	ASSERT_INT(take(1000, limit / 4 + 1, &beyond), -EMFILE);
	ASSERT_INT(take(1000, limit / 4, &own), 0);
	ASSERT_INT(take(1001, limit / 2, &other), 0);
	charge_release(&second);
	charge_release(&first);
	charge_release(&own);
	charge_release(&other);
	ASSERT_INT(take(1000, limit, &own), 0);
	charge_release(&own);
}

static void a_charge_grows_up_to_the_limit(void)
{
	const struct caller caller = { .uid = 1000 };
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge one, other;

	ASSERT_INT(take(1000, 1, &one), 0);
	ASSERT_INT(charge_more(&one, &caller, limit), -EMFILE);
	ASSERT_INT(charge_more(&one, &caller, limit - 1), 0);
	ASSERT_INT(charge_more(&one, &caller, 1), -EMFILE);
	ASSERT_INT(take(1000, 1, &other), -EMFILE);
	charge_release(&one);
	ASSERT_INT(take(1000, limit, &one), 0);
	charge_release(&one);
}

/* A budget is charged for no more than a little more than is used, and not at all beyond the limit. */
static void a_listing_is_charged_while_it_is_made(void)
{
	const struct caller caller = { .uid = 1000 };
	uint64_t limit = charges_limit(charges, CHARGE_BYTES), used = 0;
	struct charged_budget bytes;

	charged_budget_init(&bytes, charges, &caller);
	for (; budget_use(&bytes.budget, 1000); used += 1000)
		CU_ASSERT(bytes.charge.amount >= used &&
			bytes.charge.amount <= used + used / 4 + 1000);
	CU_ASSERT(used > limit / 4 * 3 && used <= limit);
	ASSERT_INT(bytes.budget.error, -ENOMEM);
	CU_ASSERT(!budget_use(&bytes.budget, 1));
	charged_budget_release(&bytes);
}

static void one_resource_takes_nothing_from_another(void)
{
	struct charge listings, bytes;

	ASSERT_INT(take(1000, charges_limit(charges, CHARGE_LISTINGS), &listings), 0);
	ASSERT_INT(take_of(CHARGE_BYTES, 1000, 1, &bytes), 0);
	charge_release(&bytes);
	charge_release(&listings);
}

static void root_has_a_reserve_and_leaves_one(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_DESCRIPTORS);
	struct charge one, users, all, beyond, parts[64];
	unsigned n = 0;

	ASSERT_INT(take_of(CHARGE_DESCRIPTORS, 1000, limit, &users), 0);
	ASSERT_INT(take_of(CHARGE_DESCRIPTORS, 0, limit, &all), 0);
	ASSERT_INT(take_of(CHARGE_DESCRIPTORS, 0, 16, &one), 0);
	charge_release(&one);
	ASSERT_INT(take_of(CHARGE_DESCRIPTORS, 0, UINT64_MAX - limit, &beyond), -EMFILE);
	charge_release(&users);
	charge_release(&all);
	/* When root has all that it can get, others get a little. */
	for (uint64_t amount = UINT64_MAX / 2; amount > 0; amount /= 2)
		take_of(CHARGE_DESCRIPTORS, 0, amount, &parts[n++]);
	ASSERT_INT(take_of(CHARGE_DESCRIPTORS, 0, 1, &beyond), -EMFILE);
	ASSERT_INT(take_of(CHARGE_DESCRIPTORS, 1000, 17, &beyond), -EMFILE);
	ASSERT_INT(take_of(CHARGE_DESCRIPTORS, 1000, 16, &users), 0);
	charge_release(&users);
	while (n > 0)
		charge_release(&parts[--n]);
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
	{ "something is left for each user", something_is_left_for_each_user },
	{ "a little is left for the last", a_little_is_left_for_the_last },
	{ "the ids of one user are one account", the_ids_of_one_user_are_one_account },
	{ "a charge grows up to the limit", a_charge_grows_up_to_the_limit },
	{ "a listing is charged while it is made", a_listing_is_charged_while_it_is_made },
	{ "one resource takes nothing from another", one_resource_takes_nothing_from_another },
	{ "root has a reserve, and leaves one", root_has_a_reserve_and_leaves_one },
	{ "a charge is given back once, whoever moved it", a_charge_is_given_back_once },
	{ "a scope gives back what was not moved out", a_scope_gives_back_what_was_not_moved_out },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo charge_suite = { "charge", NULL, NULL, set_up, tear_down, tests };

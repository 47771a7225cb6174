/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failing.h"
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

static void list(void *data)
{
	const struct caller caller = { .uid = 1000 };
	struct charged_budget bytes;

	(void)data;
	charged_budget_init(&bytes, charges, &caller);
	while (budget_use(&bytes.budget, 1000))
		CU_ASSERT_FATAL(bytes.charge.amount < 1 << 20);
	ASSERT_INT(bytes.budget.error, -ENOMEM);
	charged_budget_release(&bytes);
}

/* The kernel would end the daemon if its control group had not as much. */
static void a_listing_fails_where_it_is_not_known_that_there_is_memory(void)
{
	failing_returns(FAILING({ SYS_openat, .argument = 2, .path = "/proc/self/cgroup",
				.result = -EMFILE }),
		list, NULL);
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

static void nothing_costs_nothing(void)
{
	uint64_t limit = charges_limit(charges, CHARGE_LISTINGS);
	struct charge all, none;

	ASSERT_INT(take(1000, limit, &all), 0);
	ASSERT_INT(take(1000, 0, &none), 0);
	CU_ASSERT_PTR_NULL(none.user);
	charge_release(&none);
	charge_release(&all);
}

/* Who has little gets it from the reserve until that is used up too; what others have then stays theirs. */
static void when_the_reserve_is_used_up_nobody_gets_more(void)
{
	struct charge all[64], little[256], beyond;
	uint64_t amount = charges_limit(charges, CHARGE_LISTINGS);
	unsigned n = 0, users = 0;

	for (; n < G_N_ELEMENTS(all) && amount > 0; n++, amount /= 2)
		ASSERT_INT(take(1000 + n, amount, &all[n]), 0);
	while (users < G_N_ELEMENTS(little) && take(2000 + users, 16, &little[users]) == 0)
		users++;
	ASSERT_INT(users, 1024 / 16);
	ASSERT_INT(take(3000, 16, &beyond), -EMFILE);
	CU_ASSERT_PTR_NULL(beyond.user);
	ASSERT_INT(take(1000, 1, &beyond), -EMFILE);
	/* Root has its own. */
	ASSERT_INT(take(0, 1024, &beyond), 0);
	charge_release(&beyond);
	charge_release(&little[--users]);
	ASSERT_INT(take(3000, 16, &little[users++]), 0);
	while (users > 0)
		charge_release(&little[--users]);
	while (n > 0)
		charge_release(&all[--n]);
}

/* Of so many descriptors, what one user may have, and of those of unlinked segments. */
static void assert_shares(uint64_t descriptors, uint64_t limit, uint64_t grace)
{
	struct charges *of = charges_new_of(descriptors, NULL);

	ASSERT_INT(charges_limit(of, CHARGE_DESCRIPTORS), limit);
	ASSERT_INT(charges_limit(of, CHARGE_GRACE_FDS), grace);
	charges_free(of);
}

static void parts_of_the_descriptors_are_nobodys(void)
{
	/* 4, 8 and 8 are the daemon's, root's and for accounts that have little. */
	assert_shares(64, (64 - 4 - 8 - 8) / 2, 44 / 4 / 2);
	assert_shares(1024, (1024 - 64 - 128 - 128) / 2, 704 / 4 / 2);
	/* No more than 256, 256 and 1024; and 8192 of unlinked segments. */
	assert_shares(65536, (65536 - 256 - 256 - 1024) / 2, 8192 / 2);
}

static struct charge of_another_thread;
static bool asked;

/* Meanwhile another thread has asked for the same user. */
static uint64_t account_while_another_asks(const struct caller *caller)
{
	if (caller->uid == 100001 && !asked) {
		asked = true;
		ASSERT_INT(take(caller->uid, 100, &of_another_thread), 0);
	}
	return 1000;
}

static void who_is_asked_for_by_two_at_once_has_one_account(void)
{
	struct charge one, beyond;
	uint64_t limit;

	charges_free(charges);
	charges = charges_new(account_while_another_asks);
	asked = false;
	limit = charges_limit(charges, CHARGE_LISTINGS);
	ASSERT_INT(take(100001, 100, &one), 0);
	/* The account has both: 100001 gets half of what is left of it, 1000 what is left. */
	ASSERT_INT(take(1000, limit - 199, &beyond), -EMFILE);
	ASSERT_INT(take(1000, limit - 200, &beyond), 0);
	charge_release(&beyond);
	charge_release(&one);
	charge_release(&of_another_thread);
	ASSERT_INT(take(1000, limit, &beyond), 0);
	charge_release(&beyond);
}

static void without_accounts_each_user_has_one(void)
{
	struct charge first, second;
	uint64_t limit;

	charges_free(charges);
	charges = charges_new(NULL);
	limit = charges_limit(charges, CHARGE_LISTINGS);
	ASSERT_INT(take(100001, limit, &first), 0);
	ASSERT_INT(take(100002, limit / 2, &second), 0);
	charge_release(&second);
	charge_release(&first);
}

static CU_TestInfo tests[] = {
	{ "a user gets up to the limit and no more", a_user_gets_up_to_the_limit_and_no_more },
	{ "something is left for each user", something_is_left_for_each_user },
	{ "a little is left for the last", a_little_is_left_for_the_last },
	{ "the ids of one user are one account", the_ids_of_one_user_are_one_account },
	{ "a charge grows up to the limit", a_charge_grows_up_to_the_limit },
	{ "a listing is charged while it is made", a_listing_is_charged_while_it_is_made },
	{ "a listing fails where it is not known that there is memory",
		a_listing_fails_where_it_is_not_known_that_there_is_memory },
	{ "one resource takes nothing from another", one_resource_takes_nothing_from_another },
	{ "root has a reserve, and leaves one", root_has_a_reserve_and_leaves_one },
	{ "a charge is given back once, whoever moved it", a_charge_is_given_back_once },
	{ "a scope gives back what was not moved out", a_scope_gives_back_what_was_not_moved_out },
	{ "nothing costs nothing", nothing_costs_nothing },
	{ "when the reserve is used up nobody gets more",
		when_the_reserve_is_used_up_nobody_gets_more },
	{ "parts of the descriptors are nobody's", parts_of_the_descriptors_are_nobodys },
	{ "who is asked for by two at once has one account",
		who_is_asked_for_by_two_at_once_has_one_account },
	{ "without accounts each user has one", without_accounts_each_user_has_one },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo charge_suite = { "charge", NULL, NULL, set_up, tear_down, tests };

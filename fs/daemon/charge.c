/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/charge.h"

#include "procfs/memory-room.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/resource.h>

/* What there is of a resource. */
struct pool {
	uint64_t shared; /* all share it; one account has half of it at most */
	uint64_t small;  /* besides, for accounts that have no more than `little` */
	uint64_t little;
	uint64_t root; /* besides, for root */
};

/* Of the descriptors so many parts, and no more than so many. */
#define OWN_PARTS 16
#define OWN_MAX 256
#define ROOT_PARTS 8
#define ROOT_MAX 256
#define SMALL_PARTS 8
#define SMALL_MAX 1024

#define LITTLE 16
#define GRACE_FDS 8192

static const struct pool listings = { 2048, 1024, LITTLE, 16 * 1024 };

#define MIB (UINT64_C(1) << 20)
static const struct pool bytes = { 32 * MIB, 4 * MIB, MIB / 4, 12 * MIB };

/* While less than this part of the shared is used, an account that has little is not looked up. */
#define CALM_PARTS 4

/* Exists as long as anything is charged to a user of it. */
struct account {
	uint64_t id;
	unsigned users;
	uint64_t used[CHARGE_RESOURCES];
};

/* Exists as long as anything is charged to the user. */
struct charged_user {
	struct charges *charges; /* constant */
	uid_t uid;               /* constant */
	/* Protected by the lock of `charges`. */
	struct account *account; /* NULL: not looked up */
	uint64_t used[CHARGE_RESOURCES];
};

struct charges {
	struct pool pools[CHARGE_RESOURCES];                 /* constant */
	uint64_t (*account_of)(const struct caller *caller); /* constant */
	GMutex lock; /* a leaf: no other lock is taken while it is held */
	/* Protected by the lock. */
	GHashTable *users;    /* uid to struct charged_user * */
	GHashTable *accounts; /* id to struct account * */
	uint64_t used[CHARGE_RESOURCES], by_root[CHARGE_RESOURCES]; /* others, and root */
};

/* The daemon's own work has some for a moment each. */
static struct pool descriptors(uint64_t all)
{
	struct pool pool = { .little = LITTLE };

	pool.root = MIN(all / ROOT_PARTS, ROOT_MAX);
	pool.small = MIN(all / SMALL_PARTS, SMALL_MAX);
	pool.shared = all - MIN(all / OWN_PARTS, OWN_MAX) - pool.root - pool.small;
	return pool;
}

struct charges *charges_new(uint64_t (*account_of)(const struct caller *caller))
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	return charges_new_of(limit.rlim_cur, account_of);
}

struct charges *charges_new_of(uint64_t all_descriptors,
	uint64_t (*account_of)(const struct caller *caller))
{
	struct charges *charges = g_new0(struct charges, 1);
	uint64_t grace;

	charges->account_of = account_of;
	charges->pools[CHARGE_DESCRIPTORS] = descriptors(all_descriptors);
	grace = MIN(GRACE_FDS, charges->pools[CHARGE_DESCRIPTORS].shared / 4);
	charges->pools[CHARGE_GRACE_FDS] = (struct pool){ .shared = grace, .root = grace };
	charges->pools[CHARGE_LISTINGS] = listings;
	charges->pools[CHARGE_BYTES] = bytes;
	g_mutex_init(&charges->lock);
	charges->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	charges->accounts = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	return charges;
}

void charges_free(struct charges *charges)
{
	g_hash_table_unref(charges->users);
	g_hash_table_unref(charges->accounts);
	g_mutex_clear(&charges->lock);
	g_free(charges);
}

uint64_t charges_limit(const struct charges *charges, enum charge_resource resource)
{
	return charges->pools[resource].shared / 2;
}

static uint64_t beyond(uint64_t used, uint64_t reserve)
{
	return used - MIN(used, reserve);
}

static bool fits(uint64_t used, uint64_t amount, uint64_t limit)
{
	return amount <= limit && used <= limit - amount;
}

/* Whether one of several that has so much leaves as much of what is free to the others. */
static bool leaves_half(uint64_t has, uint64_t amount, uint64_t free)
{
	return amount <= free && fits(has, amount, free - amount);
}

static bool root_may_take(const struct charges *charges, enum charge_resource resource,
	uint64_t amount)
{
	const struct pool *pool = &charges->pools[resource];

	return fits(charges->by_root[resource] + beyond(charges->used[resource], pool->small),
		amount, pool->shared + pool->root);
}

/* The account is known. */
static bool user_may_take(const struct charged_user *user, enum charge_resource resource,
	uint64_t amount)
{
	const struct charges *charges = user->charges;
	const struct pool *pool = &charges->pools[resource];
	const struct account *account = user->account;
	uint64_t all = charges->used[resource] + beyond(charges->by_root[resource], pool->root);
	uint64_t has = account->used[resource], free = beyond(pool->shared, all), most;

	if (fits(has, amount, pool->little) && fits(all, amount, pool->shared + pool->small))
		return true;
	if (!leaves_half(has, amount, free))
		return false;
	most = (free + has) / 2;
	return account->id == user->uid ||
		leaves_half(user->used[resource], amount, beyond(most, has));
}

/* Whether the user may take it whatever the account has. */
static bool is_calm(const struct charged_user *user, enum charge_resource resource, uint64_t amount)
{
	const struct charges *charges = user->charges;
	const struct pool *pool = &charges->pools[resource];

	return !user->account && fits(user->used[resource], amount, pool->little) &&
		fits(charges->used[resource] + charges->by_root[resource], amount,
			pool->shared / CALM_PARTS);
}

static struct charged_user *get_user_locked(struct charges *charges, uid_t uid)
{
	struct charged_user *user = g_hash_table_lookup(charges->users, GUINT_TO_POINTER(uid));

	if (!user) {
		user = g_new0(struct charged_user, 1);
		user->charges = charges;
		user->uid = uid;
		g_hash_table_insert(charges->users, GUINT_TO_POINTER(uid), user);
	}
	return user;
}

static void join_account_locked(struct charged_user *user, uint64_t id)
{
	struct account *account = g_hash_table_lookup(user->charges->accounts, &id);

	if (!account) {
		account = g_new0(struct account, 1);
		account->id = id;
		g_hash_table_insert(user->charges->accounts, &account->id, account);
	}
	account->users++;
	user->account = account;
	for (int i = 0; i < CHARGE_RESOURCES; i++)
		account->used[i] += user->used[i];
}

/* Gives up the lock to ask whose account it is. */
static struct charged_user *know_account_locked(struct charges *charges,
	const struct caller *caller)
{
	struct charged_user *user = get_user_locked(charges, caller->uid);
	uint64_t id = caller->uid;

	if (user->account)
		return user;
	if (charges->account_of) {
		g_mutex_unlock(&charges->lock);
		id = charges->account_of(caller);
		g_mutex_lock(&charges->lock);
		user = get_user_locked(charges, caller->uid);
	}
	if (!user->account)
		join_account_locked(user, id);
	return user;
}

static void drop_unused_locked(struct charged_user *user)
{
	struct charges *charges = user->charges;
	struct account *account = user->account;

	for (int i = 0; i < CHARGE_RESOURCES; i++)
		if (user->used[i] > 0)
			return;
	if (account && --account->users == 0)
		g_hash_table_remove(charges->accounts, &account->id);
	g_hash_table_remove(charges->users, GUINT_TO_POINTER(user->uid));
}

/* Takes it, or with the sign -1 gives it back. */
static void add_locked(struct charged_user *user, enum charge_resource resource, uint64_t amount,
	int sign)
{
	struct charges *charges = user->charges;
	uint64_t *all = user->uid == 0 ? charges->by_root : charges->used;

	user->used[resource] += sign * amount;
	all[resource] += sign * amount;
	if (user->account)
		user->account->used[resource] += sign * amount;
}

int charge_take(struct charges *charges, const struct caller *caller, enum charge_resource resource,
	uint64_t amount, struct charge *out)
{
	struct charged_user *user;
	bool may;

	*out = (struct charge){ 0 };
	if (amount == 0)
		return 0;
	g_mutex_lock(&charges->lock);
	user = get_user_locked(charges, caller->uid);
	if (caller->uid == 0) {
		may = root_may_take(charges, resource, amount);
	} else if (is_calm(user, resource, amount)) {
		may = true;
	} else {
		user = know_account_locked(charges, caller);
		may = user_may_take(user, resource, amount);
	}
	if (may) {
		add_locked(user, resource, amount, 1);
		*out = (struct charge){ user, resource, amount };
	} else {
		drop_unused_locked(user);
	}
	g_mutex_unlock(&charges->lock);
	return may ? 0 : resource == CHARGE_BYTES ? -ENOMEM : -EMFILE;
}

int charge_more(struct charge *charge, const struct caller *caller, uint64_t amount)
{
	struct charge more;
	int r = charge_take(charge->user->charges, caller, charge->resource, amount, &more);

	if (r == 0)
		charge->amount += amount;
	return r;
}

uid_t charge_uid(const struct charge *charge)
{
	return charge->user->uid;
}

void charge_release(struct charge *charge)
{
	struct charged_user *user = charge->user;
	struct charges *charges;

	if (!user)
		return;
	charges = user->charges;
	g_mutex_lock(&charges->lock);
	g_assert(user->used[charge->resource] >= charge->amount);
	add_locked(user, charge->resource, charge->amount, -1);
	drop_unused_locked(user);
	g_mutex_unlock(&charges->lock);
	*charge = (struct charge){ 0 };
}

/*
 * A listing asks for little at a time, so the daemon's control group is asked for this much beforehand: in
 * a group with a small limit the listing fails, and not the daemon. Most listings take less than the first
 * part, for which it is not asked.
 */
#define STEP MIB
#define FIRST (MIB / 16)

static bool group_allows(struct charged_budget *self, size_t amount)
{
	uint64_t wanted = self->charge.amount + amount;

	if (wanted <= self->allowed)
		return true;
	charged_budget_made(self);
	if (!memory_promise(amount + STEP))
		return false;
	self->promised = amount + STEP;
	self->allowed = wanted + STEP;
	return true;
}

static int more_bytes(void *data, size_t amount)
{
	struct charged_budget *self = data;

	if (!group_allows(self, amount))
		return -ENOMEM;
	if (self->charge.user)
		return charge_more(&self->charge, &self->caller, amount);
	return charge_take(self->charges, &self->caller, CHARGE_BYTES, amount, &self->charge);
}

void charged_budget_init(struct charged_budget *out, struct charges *charges,
	const struct caller *caller)
{
	*out = (struct charged_budget){
		.budget = { .more = more_bytes, .data = out },
		.charges = charges,
		.caller = *caller,
		.allowed = FIRST,
	};
}

void charged_budget_made(struct charged_budget *self)
{
	memory_promise_kept(self->promised);
	self->promised = 0;
}

void charged_budget_release(struct charged_budget *self)
{
	charged_budget_made(self);
	charge_release(&self->charge);
}

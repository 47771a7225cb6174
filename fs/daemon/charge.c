/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/charge.h"

#include <errno.h>
#include <glib.h>
#include <sys/resource.h>

/* Descriptors kept for root and for the daemon's own work, which holds some for a moment each. */
#define RESERVE 256

#define GRACE_FDS 4096
#define LISTINGS 1024
#define BYTES (64 * 1024 * 1024)
#define ROOT_FACTOR 16

/* Exists as long as anything is charged to the user. */
struct charged_user {
	struct charges *charges;         /* constant */
	uid_t uid;                       /* constant */
	uint64_t used[CHARGE_RESOURCES]; /* protected by the lock of `charges` */
};

struct charges {
	uint64_t limits[CHARGE_RESOURCES]; /* constant */
	GMutex lock;                       /* a leaf: no other lock is taken while it is held */
	GHashTable *users;                 /* uid to struct charged_user *; protected by the lock */
};

static uint64_t descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	return (limit.rlim_cur - MIN(limit.rlim_cur / 4, RESERVE)) / 4 * 3;
}

struct charges *charges_new(void)
{
	struct charges *charges = g_new0(struct charges, 1);

	charges->limits[CHARGE_DESCRIPTORS] = descriptors();
	charges->limits[CHARGE_GRACE_FDS] = MIN(GRACE_FDS, descriptors() / 4);
	charges->limits[CHARGE_LISTINGS] = LISTINGS;
	charges->limits[CHARGE_BYTES] = BYTES;
	g_mutex_init(&charges->lock);
	charges->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return charges;
}

void charges_free(struct charges *charges)
{
	g_hash_table_unref(charges->users);
	g_mutex_clear(&charges->lock);
	g_free(charges);
}

uint64_t charges_limit(const struct charges *charges, enum charge_resource resource)
{
	return charges->limits[resource];
}

static uint64_t limit_of(const struct charges *charges, uid_t uid, enum charge_resource resource)
{
	if (uid != 0)
		return charges->limits[resource];
	return resource == CHARGE_DESCRIPTORS ? UINT64_MAX :
						ROOT_FACTOR * charges->limits[resource];
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

static void drop_unused_locked(struct charged_user *user)
{
	for (int i = 0; i < CHARGE_RESOURCES; i++)
		if (user->used[i] > 0)
			return;
	g_hash_table_remove(user->charges->users, GUINT_TO_POINTER(user->uid));
}

int charge_take(struct charges *charges, uid_t uid, enum charge_resource resource, uint64_t amount,
	struct charge *out)
{
	uint64_t limit = limit_of(charges, uid, resource), used;
	struct charged_user *user;
	int r = 0;

	*out = (struct charge){ 0 };
	if (amount == 0)
		return 0;
	g_mutex_lock(&charges->lock);
	user = get_user_locked(charges, uid);
	used = user->used[resource];
	if (used > 0 && (used > limit || amount > limit - used)) {
		r = -EMFILE;
	} else {
		user->used[resource] += amount;
		*out = (struct charge){ user, resource, amount };
	}
	g_mutex_unlock(&charges->lock);
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
	user->used[charge->resource] -= charge->amount;
	drop_unused_locked(user);
	g_mutex_unlock(&charges->lock);
	*charge = (struct charge){ 0 };
}

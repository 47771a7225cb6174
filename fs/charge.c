/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "charge.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/resource.h>

/* Descriptors kept for root and for the daemon's own work, which holds some for a moment each. */
#define RESERVE 256

#define KEPT 4096
#define LISTINGS 1024
#define BYTES (64 * 1024 * 1024)
#define ROOT_FACTOR 16

struct usage {
	uint64_t used[QUOTA_RESOURCES];
};

struct quota {
	uint64_t limits[QUOTA_RESOURCES];
	GMutex lock;
	GHashTable *users; /* uid to struct usage *: those who use anything; guarded by the lock */
};

static uint64_t descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	return (limit.rlim_cur - MIN(limit.rlim_cur / 4, RESERVE)) / 4 * 3;
}

struct quota *quota_new(void)
{
	struct quota *quota = g_new0(struct quota, 1);

	quota->limits[QUOTA_DESCRIPTORS] = descriptors();
	quota->limits[QUOTA_KEPT] = MIN(KEPT, descriptors() / 4);
	quota->limits[QUOTA_LISTINGS] = LISTINGS;
	quota->limits[QUOTA_BYTES] = BYTES;
	g_mutex_init(&quota->lock);
	quota->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return quota;
}

void quota_free(struct quota *quota)
{
	g_hash_table_unref(quota->users);
	g_mutex_clear(&quota->lock);
	g_free(quota);
}

uint64_t quota_limit(const struct quota *quota, enum quota_resource resource)
{
	return quota->limits[resource];
}

static uint64_t limit_of(const struct quota *quota, uid_t uid, enum quota_resource resource)
{
	if (uid != 0)
		return quota->limits[resource];
	return resource == QUOTA_DESCRIPTORS ? UINT64_MAX : ROOT_FACTOR * quota->limits[resource];
}

int quota_take(struct quota *quota, uid_t uid, enum quota_resource resource, uint64_t amount)
{
	uint64_t limit = limit_of(quota, uid, resource), used;
	struct usage *usage;
	int r = 0;

	g_mutex_lock(&quota->lock);
	usage = g_hash_table_lookup(quota->users, GUINT_TO_POINTER(uid));
	used = usage ? usage->used[resource] : 0;
	if (used > 0 && (used > limit || amount > limit - used))
		r = -EMFILE;
	if (r == 0 && !usage) {
		usage = g_new0(struct usage, 1);
		g_hash_table_insert(quota->users, GUINT_TO_POINTER(uid), usage);
	}
	if (r == 0)
		usage->used[resource] += amount;
	g_mutex_unlock(&quota->lock);
	return r;
}

static bool uses_nothing(const struct usage *usage)
{
	for (int i = 0; i < QUOTA_RESOURCES; i++)
		if (usage->used[i] > 0)
			return false;
	return true;
}

void quota_give(struct quota *quota, uid_t uid, enum quota_resource resource, uint64_t amount)
{
	struct usage *usage;

	g_mutex_lock(&quota->lock);
	usage = g_hash_table_lookup(quota->users, GUINT_TO_POINTER(uid));
	if (usage) {
		g_assert(usage->used[resource] >= amount);
		usage->used[resource] -= amount;
		if (uses_nothing(usage))
			g_hash_table_remove(quota->users, GUINT_TO_POINTER(uid));
	}
	g_mutex_unlock(&quota->lock);
}

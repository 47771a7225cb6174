/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Charges each user for what their open files cost the daemon, so that no user can take from the others
 * what they need of it.
 *
 * Users have accounts (caller/account.h): all user ids that one user has by a user namespace are one
 * account. An account has at most as much as is left for the others, so the first gets half, the next
 * half of the rest, and something is left however many they are; within an account that is not one
 * user's own the same holds for each user id. Accounts that have little get a little more from a
 * reserve; root has another one, and the daemon's own descriptors nobody can take, root neither.
 *
 * A charge is a value that owns what it took and gives it back when it is released: keep it beside
 * what it pays for. All functions may be called from any thread.
 */
#pragma once

#include "base/packed.h"
#include "caller/caller.h"

#include <stdint.h>
#include <sys/types.h>

enum charge_resource {
	CHARGE_DESCRIPTORS, /* of open segments, of lock owners, of listings of the root */
	CHARGE_GRACE_FDS,   /* descriptors of segments that the user unlinked (node.h): another user
			       decides how long, and is not to take from this one what opening needs */
	CHARGE_LISTINGS,    /* open metadata files and directories */
	CHARGE_BYTES,       /* that these keep */
	CHARGE_RESOURCES
};

/* What all users are charged for. */
struct charges;

/* What one user is charged for one thing; all zero: nothing. Never copied but moved (charge_move()). */
struct charge {
	struct charged_user *user;
	enum charge_resource resource;
	uint64_t amount;
};

/*
 * Takes the limit on descriptors from RLIMIT_NOFILE as it is now. `account_of` tells whose account a
 * caller's is (account.h); NULL: each user's own. It is asked when not much is left, or for a user who
 * has more than a little.
 */
struct charges *charges_new(uint64_t (*account_of)(const struct caller *caller));

/* The same for a daemon that may have so many descriptors. */
struct charges *charges_new_of(uint64_t all_descriptors,
	uint64_t (*account_of)(const struct caller *caller));

/* What is charged still is forgotten, and not to be released any more. */
void charges_free(struct charges *charges);

/* What one user other than root may have, where the others have nothing. */
uint64_t charges_limit(const struct charges *charges, enum charge_resource resource);

/*
 * Fills in `out`, which is to be released: 0, or an empty charge and -EMFILE (of bytes -ENOMEM) where
 * the caller's user would have too much.
 */
int charge_take(struct charges *charges, const struct caller *caller, enum charge_resource resource,
	uint64_t amount, struct charge *out);

/* Adds to a charge that is not empty: 0, or as charge_take(), and then the charge is as it was. */
int charge_more(struct charge *charge, const struct caller *caller, uint64_t amount);

/* Who is charged, for a charge that is not empty. */
uid_t charge_uid(const struct charge *charge);

/* Gives back what was taken and empties the charge; nothing for one that is empty. */
void charge_release(struct charge *charge);

/* Returns the charge and empties where it was. */
static inline struct charge charge_move(struct charge *from)
{
	struct charge charge = *from;

	*from = (struct charge){ 0 };
	return charge;
}

/* A charge that is released where its scope ends, unless it was moved. */
#define auto_charge __attribute__((cleanup(charge_release))) struct charge

/*
 * Bytes of one listing, charged to the caller while it is made and until it is closed. Where the daemon's
 * own memory control group has no room for them, that is -ENOMEM too.
 */
struct charged_budget {
	struct budget budget;
	struct charges *charges;
	struct caller caller;
	struct charge charge;
	uint64_t allowed;  /* bytes for which the daemon's control group has room */
	uint64_t promised; /* of these: what may not be in use yet */
};

/* Not to be moved from then on. */
void charged_budget_init(struct charged_budget *out, struct charges *charges,
	const struct caller *caller);

/* Says that no more is added for the time being, so that others can have what it would have taken. */
void charged_budget_made(struct charged_budget *self);

/* Gives all back. Of one that is all zeros there is nothing. */
void charged_budget_release(struct charged_budget *self);

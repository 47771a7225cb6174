/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Charges each user for what their open files cost the daemon, so that no user can take from the others
 * what they need of it. Each user is counted alone; the superuser, who could end the daemon as well,
 * has all the descriptors and a multiple of the rest.
 *
 * A charge is a value that owns what it took and gives it back when it is released: keep it beside
 * what it pays for. All functions may be called from any thread.
 */
#pragma once

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

/* Takes the limit on descriptors from RLIMIT_NOFILE as it is now. */
struct charges *charges_new(void);

/* What is charged still is forgotten, and not to be released any more. */
void charges_free(struct charges *charges);

/* What one user other than root may have. */
uint64_t charges_limit(const struct charges *charges, enum charge_resource resource);

/*
 * Fills in `out`, which is to be released: 0, or -EMFILE (and an empty charge) where the user would
 * have too much. A user who has nothing gets any amount, as a listing that is large must be had once.
 */
int charge_take(struct charges *charges, uid_t uid, enum charge_resource resource, uint64_t amount,
	struct charge *out);

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

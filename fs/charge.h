/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one user's open files may cost the daemon, so that nobody can take from the others what they
 * need of it. Each user is counted alone; the superuser, who could end the daemon as well, has all
 * the descriptors and a multiple of the rest.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum quota_resource {
	QUOTA_DESCRIPTORS, /* of open segments, of lock owners, of listings of the root */
	QUOTA_KEPT,        /* descriptors of segments that the user unlinked (node.h): another user
			      decides how long, and is not to take from this one what opening needs */
	QUOTA_LISTINGS,    /* open metadata files and directories */
	QUOTA_BYTES,       /* that these keep */
	QUOTA_RESOURCES
};

struct quota;

/* Takes the limit on descriptors from RLIMIT_NOFILE as it is now. */
struct quota *quota_new(void);
void quota_free(struct quota *quota);

/* What one user other than root may have. */
uint64_t quota_limit(const struct quota *quota, enum quota_resource resource);

/*
 * 0, or -EMFILE where the user would have too much; who has nothing gets any amount, as a listing
 * that is large must be had once. To be given back in the same amount. Any thread may call it.
 */
int quota_take(struct quota *quota, uid_t uid, enum quota_resource resource, uint64_t amount);
void quota_give(struct quota *quota, uid_t uid, enum quota_resource resource, uint64_t amount);

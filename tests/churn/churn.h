/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the workers of census-churn have in common with the one who counts them. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define CHURN_OBJECTS 6 /* POSIX objects "churn-0" and so on */
#define CHURN_SYSV 3
#define CHURN_PAGES 16    /* of each of them */
#define CHURN_PLAN_FD 100 /* of the plan's memfd, in every worker */

/* A page that all share. */
struct plan {
	_Atomic uint64_t changes; /* of address spaces and descriptor tables, by all workers */
	_Atomic uint32_t workers; /* processes that live, about */
	uint32_t workers_max;
	int sysv[CHURN_SYSV];
};

/* What a worker does until it is killed or has had enough. */
int churn_worker(unsigned seed);

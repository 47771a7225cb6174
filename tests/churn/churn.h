/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the workers of census-churn have in common with the one who counts them. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define CHURN_OBJECTS 6 /* POSIX objects "churn-0" and so on */
#define CHURN_SYSV 3
#define CHURN_PAGES 16 /* of each of them */
/* Descriptors in every worker. */
#define CHURN_PLAN_FD 100 /* the plan's memfd */
#define CHURN_SEND_FD 101 /* both ends of a socket that all workers share */
#define CHURN_RECEIVE_FD 102
#define CHURN_OBJECT_FD 110 /* objects, which come and go */
#define CHURN_OBJECT_FDS 16
#define CHURN_RING_FD 126 /* io_urings, which come and go */
#define CHURN_RINGS 4

/* A page that all share. */
struct plan {
	_Atomic uint64_t changes; /* of address spaces and descriptor tables, by all workers */
	_Atomic uint32_t workers; /* processes that live, about */
	uint32_t workers_max;
	int sysv[CHURN_SYSV];
};

/* What a worker does until it is killed or has had enough. */
int churn_worker(unsigned seed);

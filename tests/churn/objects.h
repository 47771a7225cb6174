/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The comparison of what the kernel counts on each object with what its users do. */
#pragma once

#include "churn.h"

struct census;

/*
 * Compares the two for the POSIX objects on the device `shm_dev` and the System V segments of the
 * plan, while all workers are stopped: every open file that the object counts is one of a mapping or
 * descriptor, or in a socket or io_uring that census_each_hidden() names; and of a System V segment
 * the kernel's number of attaches is that of the mappings. Prints what differs, and returns how many
 * objects differ. Adds the open files in sockets and rings to `hidden`.
 */
unsigned compare_objects(struct census *census, uint64_t shm_dev, const struct plan *plan,
	uint64_t *hidden);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Censuses of the processes of this machine, by one back end. */
#pragma once

#include "census/census.h"

/*
 * A census by the back end `choice`, without the process `self` (0: with all). NULL where that
 * back end cannot be had here: `why` then says why. The text back end can be had everywhere: if it
 * cannot, the test fails. Not for a suite's init function, in which nothing can be asserted.
 */
struct census *backend_open(enum census_backend_choice choice, uint64_t shm_dev, pid_t self,
	const char **why);

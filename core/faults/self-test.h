/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests whether the BPF programs find the segment of an address, its size, and how full its tmpfs is.
 * It uses a memfd, and a tmpfs that is mounted nowhere, which are gone afterwards.
 */
#pragma once

#include "faults/programs.h"

/* The cases, in the order in which they are tried. */
enum fault_case {
	FAULT_CASE_NONE,
	FAULT_CASE_WITHIN,    /* an address in the file */
	FAULT_CASE_TRUNCATED, /* the file was made shorter */
	FAULT_CASE_SPACE,     /* a page of the tmpfs is left */
	FAULT_CASE_FULL,      /* none is */
	FAULT_CASES
};

/*
 * Runs all cases. 0, or a negative errno with one line in `why` (a static string): -ENOTSUP where
 * what is found is not as it should be. Without the right to make a tmpfs the last two are left
 * out. `fault` is for tests: that case then expects a wrong result, and fails.
 */
int fault_self_test(struct fault_programs *programs, enum fault_case fault, const char **why);

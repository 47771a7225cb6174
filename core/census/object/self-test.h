/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests whether this kernel counts the references on a file as the object side expects. It uses
 * files of its own: on a tmpfs that is mounted nowhere, a memfd, and a private System V segment,
 * which are gone afterwards.
 */
#pragma once

#include "census/object/programs.h"

#include <stdbool.h>

/* The cases, in the order in which they are tried. */
enum object_case {
	CASE_NONE,
	CASE_NAMED,     /* a file that no process has open */
	CASE_OPEN,      /* one descriptor, then a copy of it, then a second open file */
	CASE_MAPPED,    /* a mapping alone */
	CASE_IN_FLIGHT, /* a descriptor in a socket's queue */
	CASE_UNLINKED,  /* the same file without its name */
	CASE_HARD_LINK, /* two names, open by one of them */
	CASE_OWN,       /* what this process has open */
	CASE_MEMFD,     /* never had a name */
	CASE_SYSV,      /* never attached */
	CASE_ATTACHED,  /* the same segment, attached once */
	CASES
};

/*
 * Runs all cases, up to six times if one fails. 0, or a negative errno with one line in `why` (a static string): -ENOTSUP where
 * the kernel counts otherwise. `sysv` tells whether System V segments could be tested too, which
 * takes an IPC namespace that unshare(2) may refuse. `fault` is for tests: that case then expects a
 * wrong result, and fails.
 */
int object_self_test(struct object_programs *programs, enum object_case fault, bool *sysv,
	const char **why);

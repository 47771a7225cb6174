/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether this kernel counts the references on a file as the object census expects. It is tried on
 * files of our own: on a tmpfs that is mounted nowhere, a memfd, and a private System V segment,
 * which are gone afterwards.
 */
#pragma once

#include "census/object/programs.h"

#include <stdbool.h>

/* The cases, in the order in which they are tried. */
enum object_case {
	CASE_NONE,
	CASE_NAMED,     /* a file that nobody has open */
	CASE_OPEN,      /* one descriptor, then a copy of it, then a second open file */
	CASE_MAPPED,    /* a mapping alone */
	CASE_IN_FLIGHT, /* a descriptor in a socket's queue */
	CASE_UNLINKED,  /* the same file without its name */
	CASE_HARD_LINK, /* two names, open by one of them */
	CASE_OWN,       /* what this process has open */
	CASE_MEMFD,     /* never had a name */
	CASE_SYSV,      /* never attached, then attached once */
	CASES
};

/*
 * 0, or a negative errno with one line in `why` (a static string): -ENOTSUP where the kernel counts
 * otherwise. `sysv` says whether System V segments could be tried too, which takes an IPC namespace:
 * unshare(2) may say no. `fault` is for tests: in that case something else is expected than a kernel says.
 */
int object_self_test(struct object_programs *programs, enum object_case fault, bool *sysv,
	const char **why);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The limits of the machine's IPC, and how near they are: the file `limits`. */
#pragma once

#include "kinds/kind.h"

/* There is no limit, or nothing is counted against it. */
#define LIMIT_NONE UINT64_MAX

/* What is counted. */
enum limit_of { LIMIT_COUNT, LIMIT_BYTES, LIMIT_PAGES };

struct limit {
	const char *resource; /* as lsipc(1) calls it where it knows it */
	uint64_t limit, used;
	enum limit_of of;
};

#define LIMITS_MAX 24

/*
 * Writes the limits of a realm to `out`, LIMITS_MAX at most; returns how many. Limits that this
 * kernel does not have are left out, and so is what could not be read: `unread` says how many calls failed
 * that tell one or more.
 */
size_t limits_read(const struct realm *realm, struct limit *out, unsigned *unread);

/*
 * Appends the table RESOURCE LIMIT USED USE%: "unlimited", and "-" for what is not known; and a last line if something
 * could not be read. Pure.
 */
void limits_format(const struct limit *limits, size_t n, unsigned unread, GString *out);

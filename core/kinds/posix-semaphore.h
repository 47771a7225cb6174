/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Named semaphores: objects called sem.NAME, which hold the C library's sem_t. They are read as
 * bytes: mapping one that is too short, or that its owner truncates, would be a SIGBUS.
 *
 * glibc, 64-bit programs: one 64-bit word, value in the lower half and waiting threads in the
 * upper, then a word that is 0 or 128 (shared between processes or private, differing by version),
 * 32 bytes in all. musl: the value, the waiters, a word 0 or 128, also 32 bytes; a value with
 * threads waiting may have its highest bit set. glibc, 32-bit programs: twice the value (with the
 * lowest bit set while threads wait), that same word, one of padding, the waiters: 16 bytes.
 */
#pragma once

#include "kinds/kind.h"

#include <stddef.h>

#define SEMAPHORE_PREFIX "sem."
#define SEMAPHORE_SIZE 32

struct semaphore {
	uint32_t value, waiters;
};

/*
 * Parses the object's first bytes: SEMAPHORE_SIZE, or all if it has fewer. False: no semaphore.
 * Pure.
 */
bool semaphore_parse(const void *bytes, size_t size, struct semaphore *out);

/*
 * The attribute `semaphore` of an object: two lines, or "not a semaphore". It tells content, so
 * that only callers that may read the object get it: -EACCES for others.
 */
extern const struct attribute semaphore_attributes[];

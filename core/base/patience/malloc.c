/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that is linked with this file waits when it is out of memory, before it gives up.
 *
 * GLib ends a program whose allocation fails, and with the daemon would go the mount, and what its
 * users have open there. The kernel refuses memory where it must not promise more than it has
 * (vm.overcommit_memory=2), or by a limit, and others may give some back a moment later. So what fails
 * is tried again, as reading from and writing to /dev/fuse are. What is large fails sooner: it is mostly
 * asked for by g_try_malloc(), whose callers have an answer for that; a text or an array that grows ends the
 * program then.
 *
 * The functions that do the work have these names in glibc alone; nowhere else is this file built.
 */
#include "base/patience/patience.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define LARGE (64 * 1024)
#define PATIENCE_FOR_LARGE 1000 /* milliseconds */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool waits(struct patience *patience, size_t size)
{
	if (size > LARGE && patience->waited >= PATIENCE_FOR_LARGE)
		return false;
	return patience_waits(patience, ENOMEM);
}

void *malloc(size_t size)
{
	struct patience patience = { 0 };
	void *memory;

	while (!(memory = __libc_malloc(size)) && waits(&patience, size))
		;
	return memory;
}

void *calloc(size_t count, size_t size)
{
	struct patience patience = { 0 };
	void *memory;
	size_t all;

	if (__builtin_mul_overflow(count, size, &all))
		all = SIZE_MAX;
	while (!(memory = __libc_calloc(count, size)) && waits(&patience, all))
		;
	return memory;
}

void *realloc(void *old, size_t size)
{
	struct patience patience = { 0 };
	void *memory;

	/* What is resized to nothing is freed. */
	while (!(memory = __libc_realloc(old, size)) && size > 0 && waits(&patience, size))
		;
	return memory;
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	struct patience patience = { 0 };
	void *memory;

	if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) || alignment == 0)
		return EINVAL;
	while (!(memory = __libc_memalign(alignment, size)) && waits(&patience, size))
		;
	if (!memory)
		return ENOMEM;
	*out = memory;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conventions shared by every module, and the few helpers that GLib lacks.
 *
 * The error rule: a function that can fail because a system call does returns 0 (or a count, or a
 * descriptor) on success and a negative errno on failure. A constructor takes `T **out` and
 * leaves it alone on failure. Running out of memory for long ends the program (base/patience).
 */
#pragma once

#include <errno.h>
#ifdef HAVE_MALLOC_TRIM
#include <malloc.h>
#endif
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

static inline void closep(const int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

/* A descriptor that closes itself at the end of its scope; steal_fd() takes it out. May only be held. */
#define auto_fd __attribute__((cleanup(closep), unused)) int

static inline int steal_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

/* Less than, equal to or greater than 0, as for qsort(3). */
static inline int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/*
 * Has the C library map what is large, always: by itself it learns from what was freed to keep more and
 * more, and copies what grows. glibc would have a heap (arena) for each thread, up to eight a processor; with
 * two, a daemon that has made some listings takes half of the memory. To be called before there are threads.
 */
static inline void memory_init(void)
{
#ifdef HAVE_MALLOC_TRIM
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_ARENA_MAX, 2);
#endif
}

/* Gives freed memory back to the kernel, as C libraries other than glibc do by themselves. */
static inline void memory_trim(void)
{
#ifdef HAVE_MALLOC_TRIM
	malloc_trim(0);
#endif
}

/*
 * Whether a call failed (negative errno) for a reason that has to do with the moment, not with what
 * it was about: a lack of descriptors or memory, or a signal. It says nothing, and may go well if
 * tried again.
 */
static inline bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EAGAIN ||
		error == -EINTR;
}

/* Whether a call failed (negative errno) in a way that leaves open whether there is what it was about. */
static inline bool is_failure(int error)
{
	return is_shortage(error) || error == -EIO;
}

/*
 * So many bytes have been freed, in small pieces, and will not be wanted again soon: the C library
 * would keep them for the next time, which may never come.
 */
static inline void memory_freed(size_t bytes)
{
	if (bytes > 1 << 20)
		memory_trim();
}

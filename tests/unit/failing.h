/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a function does when the kernel refuses it what it hardly ever refuses: a child process runs it, in which
 * system calls fail (seccomp(2), a handler of SIGSYS). What the child asserts counts for the test that runs, also
 * what is fatal. There sleeping takes no time.
 *
 *	failing_returns(FAILING({ SYS_setgroups, .result = -EPERM }), act, &data);
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

/*
 * A system call of at most five arguments that is answered with `result` in place of being made. Of a list the first
 * one that is about a call, and has not failed so many times as it is to, decides.
 */
struct failing {
	long call;               /* SYS_... */
	long or_call;            /* or that one, which another C library makes; 0: none */
	int argument;            /* with that argument (from 1); 0: whatever its arguments */
	uint32_t value;          /* which is that number, in its lower 32 bits */
	const char *path;        /* or, if not NULL, that text */
	unsigned after;          /* so many are made first */
	unsigned times;          /* and so many then fail; 0: all */
	void (*meanwhile)(void); /* or this happens first, and then they are made */
	bool if_made;            /* it need not be made at all */
	long result;             /* a negative errno, or what it is to return */
};

#define FAILING(...)                                                                               \
	(const struct failing[])                                                                   \
	{                                                                                          \
		__VA_ARGS__,                                                                       \
		{                                                                                  \
			.call = -1                                                                 \
		}                                                                                  \
	}

#define NOTHING_FAILS                                                                              \
	(const struct failing[])                                                                   \
	{                                                                                          \
		{                                                                                  \
			.call = -1                                                                 \
		}                                                                                  \
	}

/*
 * Of at most 16 calls. The test fails unless act() returns and each of the calls has failed, but those `if_made`. Skipped where there is no seccomp. Ends what
 * act() does after a minute.
 */
void failing_returns(const struct failing *calls, void (*act)(void *data), void *data);

/* Likewise unless the process ends by g_error(), with a message that contains that text. */
void failing_ends(const struct failing *calls, const char *message, void (*act)(void *data),
	void *data);

/* A descriptor of a file with that text, for `result`: to be had in place of another file's. The caller closes it. */
int text_descriptor(const char *text);

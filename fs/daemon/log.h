/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where messages go: stderr until the mount works and for a daemon in the foreground, syslog(3)
 * for one in the background. Until the mount works, libfuse's own messages are kept back, so that
 * a start that fails prints one line, which names the cause.
 */
#pragma once

#include <stdbool.h>

#define PRINTF(a, b) __attribute__((format(printf, a, b)))

/* Takes over libfuse's messages. */
void log_init(void);

/* From here on nothing is kept back; `background`: stderr is gone. */
void log_ready(bool background, bool debug);

/* One line, without "shmtree: " and newline. */
void log_line(const char *format, ...) PRINTF(1, 2);

/*
 * The line for a start that failed: libfuse's first message if there is one, else `cause`; then
 * what to do about it.
 */
void log_failure(const char *cause, const char *remedy);

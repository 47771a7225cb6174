/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends the session: on SIGHUP, SIGINT or SIGTERM, or when a thread says so; and wakes the thread
 * that watches over the others (serve.c), which sleeps in shutdown_sleep().
 *
 * A notification to the kernel (watch.c) may wait for a caller who waits for an answer of ours. So
 * a signal that arrives during one does not end the session at once: the thread that notifies ends
 * it when the notification is through, and an alarm ends it if that takes too long.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

struct fs;

/* Brings a thread out of a system call that waits (EINTR); nothing else. */
#define INTERRUPT_SIGNAL SIGUSR2

/* Installs the signal handlers, for fs->session. 0 or a negative errno. */
int shutdown_init(struct fs *fs);

/* Ends the session, from any thread or a signal's handler. */
void shutdown_now(void);

/* Whether the session is to end: no notification may begin any more. From any thread. */
bool shutdown_is_requested(void);

/* As after a signal, but without ending the session: no notification begins from here on. */
void shutdown_request(void);

/*
 * Around each notification, which is sent only if shutdown_begin_notification() says true. If a
 * signal came meanwhile, shutdown_end_notification() ends the session.
 */
bool shutdown_begin_notification(void);
void shutdown_end_notification(void);

/* The one thread that watches sleeps so long (-1: without limit), or until shutdown_wake(). */
void shutdown_sleep(int milliseconds);
void shutdown_wake(void);

/* The session has ended: there is nothing left for the alarm to end. */
void shutdown_finish(void);

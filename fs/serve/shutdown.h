/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends the session: on SIGHUP, SIGINT or SIGTERM, or when a thread says so; and wakes the thread
 * that watches over the others (serve.c), which sleeps in shutdown_sleep().
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

/* The one thread that watches sleeps so long (-1: without limit), or until shutdown_wake(). */
void shutdown_sleep(int milliseconds);
void shutdown_wake(void);

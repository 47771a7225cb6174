/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An actor: a child process that does one step of a test at a time. */
#pragma once

#include <sys/types.h>

struct actor {
	pid_t pid;
	int channel; /* of a socket pair; play() has the other end */
};

/* Starts a child that runs play(). */
struct actor actor_fork(void (*play)(int channel));

/* Likewise, and waits for its first actor_step(). */
struct actor actor_start(void (*play)(int channel));

/* Called by the child: says that the step is done, and waits to be told to do the next. */
void actor_step(int channel);

/* Waits until the child calls actor_step(). */
void actor_await(const struct actor *actor);

/* Has the child do its next step, and waits until it is done. */
void actor_next(const struct actor *actor);

/* Ends the child and all processes that it has started, none of which may outlive it. */
void actor_stop(struct actor *actor);

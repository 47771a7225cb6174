/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "actor.h"

#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void actor_step(int channel)
{
	char byte = 's';

	if (write(channel, &byte, 1) != 1 || read(channel, &byte, 1) != 1)
		_exit(0);
}

void actor_await(const struct actor *actor)
{
	char byte;

	CU_ASSERT_EQUAL(read(actor->channel, &byte, 1), 1);
}

void actor_next(const struct actor *actor)
{
	CU_ASSERT_EQUAL(write(actor->channel, "n", 1), 1);
	actor_await(actor);
}

struct actor actor_fork(void (*play)(int channel))
{
	struct actor actor;
	int pair[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	actor.pid = fork();
	CU_ASSERT_FATAL(actor.pid >= 0);
	if (actor.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		play(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	actor.channel = pair[0];
	return actor;
}

struct actor actor_start(void (*play)(int channel))
{
	struct actor actor = actor_fork(play);

	actor_await(&actor);
	return actor;
}

void actor_stop(struct actor *actor)
{
	char byte;

	shutdown(actor->channel, SHUT_WR);
	while (read(actor->channel, &byte, 1) == 1)
		;
	close(actor->channel);
	kill(actor->pid, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(actor->pid, NULL, 0), actor->pid);
}

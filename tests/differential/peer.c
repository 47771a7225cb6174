/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "peer.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct self {
	int sock;
	int fds[PEER_FDS];
	const char *paths[2]; /* inside, outside */
};

static int result(int r)
{
	return r < 0 ? -errno : r;
}

static int take(int fd, const struct order *o)
{
	struct flock lock = { .l_type = o->type, .l_start = o->start, .l_len = o->len };
	int operation = o->type == F_UNLCK ? LOCK_UN : o->type == F_RDLCK ? LOCK_SH : LOCK_EX;

	switch (o->kind) {
	case FLOCK:
		return result(flock(fd, operation | (o->wait ? 0 : LOCK_NB)));
	case OFD:
		return result(fcntl(fd, o->wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock));
	default:
		return result(fcntl(fd, o->wait ? F_SETLKW : F_SETLK, &lock));
	}
}

static int holder(int fd, const struct order *o)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = o->start, .l_len = o->len };

	if (fcntl(fd, F_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

static int in_child(int fd, const struct order *o)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(o->command == PEER_FORK_CLOSE ? -result(close(fd)) : -take(fd, o));
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static void become_again(struct self *self)
{
	char numbers[PEER_FDS + 1][12];
	char *argv[PEER_FDS + 6] = { (char *)"peer", (char *)PEER_ARGUMENT, (char *)self->paths[0],
		(char *)self->paths[1] };

	for (int i = 0; i <= PEER_FDS; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%d", i ? self->fds[i - 1] : self->sock);
		argv[4 + i] = numbers[i];
	}
	execv("/proc/self/exe", argv);
}

static int reopen(struct self *self, const struct order *o)
{
	self->fds[o->fd] = open(self->paths[o->outside], O_RDWR | O_CREAT, 0666);
	return result(self->fds[o->fd]) < 0 ? -errno : 0;
}

static int obey(struct self *self, const struct order *o)
{
	int fd = self->fds[o->fd];
	struct stat st;

	switch (o->command) {
	case PEER_OPEN:
		return reopen(self, o);
	case PEER_CLOSE:
		return result(close(fd));
	case PEER_DUP:
		self->fds[o->to] = dup(fd);
		return self->fds[o->to] < 0 ? -errno : 0;
	case PEER_LOCK:
		return take(fd, o);
	case PEER_GETLK:
		return holder(fd, o);
	case PEER_FORK_CLOSE:
	case PEER_FORK_LOCK:
		return in_child(fd, o);
	case PEER_EXEC:
		become_again(self);
		return -errno;
	case PEER_CLOEXEC:
		return result(fcntl(fd, F_SETFD, FD_CLOEXEC));
	case PEER_STAT:
		return result(fstat(fd, &st));
	}
	return -ENOSYS;
}

static void ignore(int sig)
{
	(void)sig;
}

static _Noreturn void serve(struct self *self)
{
	/* Without SA_RESTART: its purpose is to end a wait with EINTR. */
	struct sigaction action = { .sa_handler = ignore };
	struct order order;

	sigaction(SIGUSR1, &action, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (recv(self->sock, &order, sizeof(order), 0) == sizeof(order)) {
		int answer = obey(self, &order);

		if (send(self->sock, &answer, sizeof(answer), 0) < 0)
			break;
	}
	_exit(0);
}

_Noreturn void peer_resume(char **argv)
{
	struct self self = { .paths = { argv[2], argv[3] }, .sock = atoi(argv[4]) };
	int answer = 0;

	for (int i = 0; i < PEER_FDS; i++)
		self.fds[i] = atoi(argv[5 + i]);
	if (send(self.sock, &answer, sizeof(answer), 0) < 0) /* to PEER_EXEC */
		_exit(1);
	serve(&self);
}

struct peer peer_start(const char *inside, const char *outside)
{
	struct self self = { .paths = { inside, outside }, .fds = { -1, -1, -1, -1 } };
	struct peer peer;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		err(2, "socketpair");
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	peer.pid = fork();
	if (peer.pid < 0)
		err(2, "fork");
	if (peer.pid == 0) {
		close(pair[0]);
		self.sock = pair[1];
		serve(&self);
	}
	close(pair[1]);
	peer.sock = pair[0];
	return peer;
}

void peer_tell(const struct peer *peer, struct order order)
{
	if (send(peer->sock, &order, sizeof(order), MSG_NOSIGNAL) < 0)
		warn("telling process %d", peer->pid);
}

int peer_answer(const struct peer *peer)
{
	struct pollfd wait = { .fd = peer->sock, .events = POLLIN };
	int answer;

	if (poll(&wait, 1, PATIENCE_MS) <= 0 ||
		recv(peer->sock, &answer, sizeof(answer), 0) != sizeof(answer))
		return NO_ANSWER;
	return answer;
}

int peer_do(const struct peer *peer, struct order order)
{
	peer_tell(peer, order);
	return peer_answer(peer);
}

void peer_kill(struct peer *peer)
{
	if (peer->pid <= 0)
		return;
	kill(peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
	close(peer->sock);
	peer->pid = 0;
}

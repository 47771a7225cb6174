/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that take locks when told to, for the scripted test of locks. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define PEER_FDS 4
#define PATIENCE_MS 30000
#define NO_ANSWER (-9999)

enum lock_kind { RECORD, OFD, FLOCK };

enum command {
	PEER_OPEN,       /* fd, place */
	PEER_CLOSE,      /* fd */
	PEER_DUP,        /* fd, to */
	PEER_LOCK,       /* fd, kind, type, start, len, wait */
	PEER_GETLK,      /* fd, start, len: the holder's pid, 0 if nobody holds */
	PEER_FORK_CLOSE, /* fd: a child closes it and ends */
	PEER_FORK_LOCK,  /* as PEER_LOCK, by a child that then ends */
	PEER_EXEC,       /* becomes another program, this one, with the descriptors it had */
	PEER_CLOEXEC,    /* fd */
	PEER_STAT,       /* fd */
};

struct order {
	enum command command;
	int fd, to;
	bool outside;
	enum lock_kind kind;
	short type;
	long start, len;
	bool wait;
};

struct peer {
	pid_t pid;
	int sock;
};

/* Starts a process that opens files of that name in one or the other directory. */
struct peer peer_start(const char *inside, const char *outside);

/* Gives an order; its answer is 0, a result, or a negative errno. */
void peer_tell(const struct peer *, struct order);
/* Waits for the answer; NO_ANSWER if there is none in PATIENCE_MS. */
int peer_answer(const struct peer *);
int peer_do(const struct peer *, struct order);

/* Kills it and waits for its end. */
void peer_kill(struct peer *);

/* The loop of the process after PEER_EXEC; never returns. */
_Noreturn void peer_resume(char **argv);

/* Name of the argument that says so. */
#define PEER_ARGUMENT "--peer"

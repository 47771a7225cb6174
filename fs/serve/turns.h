/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which requests a thread that reads them answers itself, and which it hands to a worker, in their
 * user's turn (workers.h).
 *
 * To hand a request over costs as much as most requests do, so the reading thread answers it, as
 * long as that is done in a moment. A user for whom it was not has, for a second, their requests
 * answered by workers; and so have all, if there are several such users. So a request that takes long
 * holds up the others for a moment, once a second, whoever sends it and whatever it waits for.
 */
#pragma once

#include "serve/workers.h"

#include <pthread.h>

struct fs;
struct fuse_buf;
struct turns;

/* A request that a thread is at, for another one to interrupt; see turns_interrupted(). */
struct at_request {
	pthread_t thread;
	uint64_t unique;  /* 0: at none, or at one that no signal helps; atomic */
	gint interrupted; /* its caller has got a signal; atomic */
};

struct turns *turns_new(struct fs *fs);
void turns_free(struct turns *turns);

/* In whose turn a request is that was read from /dev/fuse. */
uint64_t turns_of(const struct fuse_buf *request);

/*
 * Whether the request, now a copy of it, has been handed to a worker, or is one that takes a request
 * handed over back. False: the caller is to answer it.
 */
bool turns_hand_over(struct turns *turns, const struct fuse_buf *request);

/*
 * The caller of a request has got a signal: brings the thread out of the system call that it may wait
 * in. Call it until the thread is at the request no longer, for it may be just short of that call.
 */
void at_request_signal(const struct at_request *at);

/* The request that is begun; NULL: none. */
void at_request_set(struct at_request *at, const struct fuse_buf *request);

/* Which request an interrupt is about; 0 if `request` is none. */
uint64_t turns_interrupted(const struct fuse_buf *request);

/* Signals the workers whose callers have got a signal; to be called again while there are any. */
bool turns_signal(struct turns *turns);

/* A request in that turn took, or takes, longer than a moment. */
void turns_note_slow(struct turns *turns, uint64_t turn);

/* Drops what no worker has begun: the connection is gone. */
void turns_drop(struct turns *turns);

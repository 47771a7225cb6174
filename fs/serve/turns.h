/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decides which requests a request thread answers itself, and which it hands to a worker in their
 * user's turn (workers.h).
 *
 * Handing a request over costs as much as answering most requests, so the request thread answers
 * them as long as each is quick. If a user's request takes long, workers answer that user's
 * requests for the next second; if there are several such users, workers answer all requests. So a
 * slow request delays the requests of others for a moment once a second, whatever user sends it and
 * whatever it waits for.
 */
#pragma once

#include "serve/workers.h"

#include <pthread.h>

struct fs;
struct fuse_buf;
struct turns;

/* The request that a thread is answering, so that another thread can interrupt it. */
struct at_request {
	pthread_t thread;
	uint64_t unique;  /* of the request; 0: none, or one that a signal does not end; atomic */
	gint interrupted; /* the caller has got a signal; atomic */
};

struct turns *turns_new(struct fs *fs);
void turns_free(struct turns *turns);

/* Returns the turn of a request that was read from /dev/fuse. */
uint64_t turns_of(const struct fuse_buf *request);

/*
 * Returns true if a worker has got a copy of the request, or if the request is an interrupt that
 * took one back from the workers. False: the calling thread has to answer it.
 */
bool turns_hand_over(struct turns *turns, const struct fuse_buf *request);

/*
 * Interrupts the system call in which the thread may wait, after the caller of its request has got
 * a signal. To be called repeatedly until the request is answered, because the thread may not have
 * entered the system call yet.
 */
void at_request_signal(const struct at_request *at);

/* Says which request the calling thread begins; NULL: it has finished. */
void at_request_set(struct at_request *at, const struct fuse_buf *request);

/*
 * To be called after at_request_set(): notes an interrupt that came before, when nobody knew yet which
 * thread would answer the request.
 */
void turns_catch_up(struct turns *turns, struct at_request *at);

/* Returns which request an interrupt is about; 0 if `request` is no interrupt. */
uint64_t turns_interrupted(const struct fuse_buf *request);

/* Signals the workers whose callers have got a signal; to be called again while there are any. */
bool turns_signal(struct turns *turns);

/* Notes that a request in that turn took, or takes, long. */
void turns_note_slow(struct turns *turns, uint64_t turn);

/* Frees the requests that no worker has begun, without an answer: the connection is gone. */
void turns_drop(struct turns *turns);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/lock-wait.h"

#include "base/util.h"
#include "serve/reply.h"
#include "serve/shutdown.h"

#include <glib.h>
#include <pthread.h>
#include <signal.h>

#define WAITER_STACK (128 * 1024)

struct waiter {
	fuse_req_t req;
	int (*lock)(void *data, bool wait);
	void *data;
	void (*free)(void *data);
	pthread_t thread;
	GMutex mutex; /* guards the rest */
	GCond changed;
	bool interrupted, done;
};

/* All waiters, for the end. */
static struct {
	GMutex lock;
	GPtrArray *list; /* of struct waiter * */
} waiters;

static void ignore(int signal)
{
	(void)signal;
}

void lock_wait_init(void)
{
	/* Without SA_RESTART: its purpose is EINTR. */
	struct sigaction action = { .sa_handler = ignore };
	sigset_t set;

	sigaction(INTERRUPT_SIGNAL, &action, NULL);
	/* Whoever started the daemon may have had it blocked. */
	sigemptyset(&set);
	sigaddset(&set, INTERRUPT_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	waiters.list = g_ptr_array_new();
}

/*
 * Called by libfuse when the kernel says that the caller's wait was interrupted. The thread may be
 * just short of the system call that the signal is to interrupt: signal until it has come out.
 */
static void interrupt(fuse_req_t req, void *data)
{
	struct waiter *waiter = data;

	(void)req;
	g_mutex_lock(&waiter->mutex);
	waiter->interrupted = true;
	while (!waiter->done && !pthread_equal(waiter->thread, pthread_self())) {
		pthread_kill(waiter->thread, INTERRUPT_SIGNAL);
		g_cond_wait_until(&waiter->changed, &waiter->mutex,
			g_get_monotonic_time() + G_TIME_SPAN_MILLISECOND);
	}
	g_mutex_unlock(&waiter->mutex);
}

static bool is_interrupted(struct waiter *waiter)
{
	bool interrupted;

	g_mutex_lock(&waiter->mutex);
	interrupted = waiter->interrupted;
	g_mutex_unlock(&waiter->mutex);
	return interrupted;
}

static int wait_for_lock(struct waiter *waiter)
{
	int r;

	do
		r = waiter->lock(waiter->data, true);
	while (r == -EINTR && !is_interrupted(waiter));
	return r;
}

static void enlist(struct waiter *waiter, bool on)
{
	g_mutex_lock(&waiters.lock);
	if (on)
		g_ptr_array_add(waiters.list, waiter);
	else
		g_ptr_array_remove_fast(waiters.list, waiter);
	g_mutex_unlock(&waiters.lock);
}

bool lock_wait_stop(void)
{
	guint left = waiters.list ? 1 : 0; /* none before lock_wait_init() */

	for (unsigned i = 0; i < 1000 && left > 0; i++) {
		g_mutex_lock(&waiters.lock);
		left = waiters.list->len;
		for (guint k = 0; k < left; k++) {
			struct waiter *waiter = g_ptr_array_index(waiters.list, k);

			g_mutex_lock(&waiter->mutex);
			waiter->interrupted = true;
			pthread_kill(waiter->thread, INTERRUPT_SIGNAL);
			g_mutex_unlock(&waiter->mutex);
		}
		g_mutex_unlock(&waiters.lock);
		if (left > 0)
			g_usleep(1000);
	}
	return left == 0;
}

static void *run(void *data)
{
	struct waiter *waiter = data;
	int r;

	g_mutex_lock(&waiter->mutex);
	waiter->thread = pthread_self();
	g_mutex_unlock(&waiter->mutex);
	enlist(waiter, true);
	fuse_req_interrupt_func(waiter->req, interrupt, waiter);
	r = is_interrupted(waiter) ? -EINTR : wait_for_lock(waiter);
	g_mutex_lock(&waiter->mutex);
	waiter->done = true;
	g_cond_signal(&waiter->changed);
	g_mutex_unlock(&waiter->mutex);
	/* Returns only when interrupt() is not running and will not be called again. */
	fuse_req_interrupt_func(waiter->req, NULL, NULL);
	waiter->free(waiter->data);
	reply_result(waiter->req, r);
	enlist(waiter, false);
	g_mutex_clear(&waiter->mutex);
	g_cond_clear(&waiter->changed);
	g_free(waiter);
	return NULL;
}

void lock_wait(fuse_req_t req, int (*lock)(void *data, bool wait), void *data,
	void (*free_data)(void *data))
{
	struct waiter *waiter = g_new0(struct waiter, 1);
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	waiter->req = req;
	waiter->lock = lock;
	waiter->data = data;
	waiter->free = free_data;
	g_mutex_init(&waiter->mutex);
	g_cond_init(&waiter->changed);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WAITER_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, run, waiter);
	pthread_attr_destroy(&attr);
	if (r == 0)
		return;
	free_data(data);
	g_free(waiter);
	reply_result(req, -ENOLCK);
}

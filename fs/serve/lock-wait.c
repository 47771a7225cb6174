/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/lock-wait.h"

#include "base/libc.h"
#include "base/util.h"
#include "serve/defer.h"
#include "serve/reply.h"
#include "serve/shutdown.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define WAITER_STACK (128 * 1024)

/* How often a waiter looks after its caller where the kernel's word does not reach it. */
#define LOOK_EVERY_NS (100 * 1000 * 1000)

struct waiter {
	fuse_req_t req;
	int (*lock)(void *data, bool wait);
	void *data;
	void (*free)(void *data);
	bool must_look; /* constant: no interrupts come through */
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

/*
 * libfuse does not find the requests that came by io_uring when the kernel interrupts one. There
 * the thread is woken now and then, and sees for itself whether its caller is gone, or has a
 * signal pending that it waits to handle.
 */
bool caller_gave_up(fuse_req_t req)
{
	static const char *const fields[] = { "\nSigPnd:", "\nShdPnd:", "\nSigBlk:", "\nSigIgn:" };
	uint64_t sets[G_N_ELEMENTS(fields)];
	char path[32];
	g_autofree char *text = NULL;

	snprintf(path, sizeof path, "/proc/%d/status", fuse_req_ctx(req)->pid);
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return true;
	for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
		const char *at = strstr(text, fields[i]);

		sets[i] = at ? strtoull(at + strlen(fields[i]), NULL, 16) : 0;
	}
	return (sets[0] | sets[1]) & ~sets[2] & ~sets[3];
}

static bool start_looking(timer_t *timer)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = INTERRUPT_SIGNAL,
		.sigev_notify_thread_id = syscall(SYS_gettid),
	};
	struct itimerspec every = { { 0, LOOK_EVERY_NS }, { 0, LOOK_EVERY_NS } };

	return timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
		timer_settime(*timer, 0, &every, NULL) == 0;
}

static bool is_interrupted(struct waiter *waiter)
{
	bool interrupted;

	g_mutex_lock(&waiter->mutex);
	interrupted = waiter->interrupted;
	g_mutex_unlock(&waiter->mutex);
	return interrupted || (waiter->must_look && caller_gave_up(waiter->req));
}

static int wait_for_lock(struct waiter *waiter)
{
	timer_t timer;
	bool looking = waiter->must_look && start_looking(&timer);
	int r;

	do
		r = waiter->lock(waiter->data, true);
	while (r == -EINTR && !is_interrupted(waiter));
	if (looking)
		timer_delete(timer);
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
	defer_reply(fs_of(waiter->req), waiter->req, r);
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
	waiter->must_look = fs_of(req)->io_uring;
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/shutdown.h"

#include "base/util.h"
#include "daemon/fs.h"
#include "daemon/log.h"

#include <poll.h>
#include <sys/eventfd.h>

/* How many seconds a signal's work may wait for a notification under way. */
#define NOTIFICATION_SECONDS 2

/* Static because a signal's handler reaches them. */
static struct fuse_session *session;
static int wake_fd = -1; /* an eventfd */
static gint requested;   /* no notification may begin any more; atomic */
static gint notifying;   /* one is under way, or about to be; atomic */

void shutdown_wake(void)
{
	uint64_t one = 1;
	ssize_t n = write(wake_fd, &one, sizeof one);

	(void)n; /* it is non-blocking, and full only when the thread is woken anyway */
}

void shutdown_sleep(int milliseconds)
{
	struct pollfd sleep = { .fd = wake_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&sleep, 1, milliseconds) > 0 && read(wake_fd, &count, sizeof count) < 0)
		log_line("the event that wakes the watching thread could not be read: %s",
			g_strerror(errno));
}

void shutdown_now(void)
{
	fuse_session_exit(session);
	shutdown_wake();
}

bool shutdown_is_requested(void)
{
	return g_atomic_int_get(&requested);
}

void shutdown_request(void)
{
	g_atomic_int_set(&requested, TRUE);
}

/*
 * A thread that sets `requested` then sees `notifying`, or is seen here; so either the signal's
 * handler ends the session or the notifying thread does, and no notification outlasts it.
 */
bool shutdown_begin_notification(void)
{
	g_atomic_int_set(&notifying, TRUE);
	return !g_atomic_int_get(&requested);
}

void shutdown_end_notification(void)
{
	g_atomic_int_set(&notifying, FALSE);
	if (g_atomic_int_get(&requested))
		shutdown_now();
}

static void handle_signal(int signal)
{
	static volatile sig_atomic_t waiting;
	int saved = errno;

	shutdown_request();
	if (signal == SIGALRM || !g_atomic_int_get(&notifying))
		shutdown_now();
	else if (!waiting)
		alarm(NOTIFICATION_SECONDS);
	waiting = true;
	errno = saved;
}

/* The process that started the daemon may have blocked or ignored it. */
static void prepare_alarm(const struct sigaction *action)
{
	sigset_t set;

	sigaction(SIGALRM, action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int shutdown_init(struct fs *fs)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	struct sigaction action = { .sa_handler = handle_signal }, old;

	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		return -errno;
	session = fs->session;
	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	prepare_alarm(&action);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

void shutdown_finish(void)
{
	alarm(0);
}

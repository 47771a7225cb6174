/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/shutdown.h"

#include "base/util.h"
#include "daemon/fs.h"
#include "daemon/log.h"

#include <poll.h>
#include <sys/eventfd.h>

/* Static because a signal's handler reaches them. */
static struct fuse_session *session;
static int wake_fd = -1; /* an eventfd */

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

static void handle_signal(int signal)
{
	int saved = errno;

	(void)signal;
	shutdown_now();
	errno = saved;
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
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/background.h"

#include "base/util.h"
#include "daemon/log.h"

#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <sys/wait.h>

static int ready_fd = -1;

/*
 * Ends the parent with the outcome of the child: a byte from it means that the mount works, the end of
 * the pipe without a byte that it failed and has printed why.
 */
static void wait_for_child(pid_t child, int fd)
{
	ssize_t n;
	char byte;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_SUCCESS);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(EXIT_FAILURE);
}

void background_start(void)
{
	int pipe_fds[2];
	pid_t child;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		log_line("cannot go to the background: %s; use -f", g_strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (child > 0) {
		close(pipe_fds[1]);
		wait_for_child(child, pipe_fds[0]);
	}
	close(pipe_fds[0]);
	ready_fd = pipe_fds[1];
}

void background_ready(void)
{
	auto_fd null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte = 1;

	/* Only now: on an automount point only processes in its manager's process group can mount. */
	setsid();
	if (chdir("/") < 0)
		log_line("cannot leave the directory: %s", g_strerror(errno));
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (write(ready_fd, &byte, 1) < 0)
		log_line("the process that started this one no longer waits for the mount: %s",
			g_strerror(errno));
	close(ready_fd);
	ready_fd = -1;
}

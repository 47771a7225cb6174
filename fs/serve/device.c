/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/device.h"

#include "base/util.h"

#include <fuse_lowlevel.h>
#include <sys/uio.h>
#include <time.h>

/* After so many attempts, a millisecond apart, an answer counts as lost. */
#define WRITE_ATTEMPTS 10000

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
}

static bool passes(ssize_t result)
{
	return result < 0 && (errno == ENOMEM || errno == EAGAIN || errno == ENOBUFS);
}

static ssize_t read_request(int fd, void *buf, size_t size, void *userdata)
{
	ssize_t n;

	(void)userdata;
	while (passes(n = read(fd, buf, size)))
		nap();
	return n;
}

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
	ssize_t n = -1;

	(void)userdata;
	for (unsigned i = 0; i < WRITE_ATTEMPTS && passes(n = writev(fd, iov, count)); i++)
		nap();
	return n;
}

int device_use(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .read = read_request, .writev = write_answer };

	return fuse_session_custom_io(session, &io, sizeof io, fuse_session_fd(session));
}

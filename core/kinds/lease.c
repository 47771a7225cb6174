/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/lease.h"

#include "base/below.h"
#include "base/util.h"
#include "caller/effective.h"
#include "caller/rights.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

/* On what is no directory, rmdir(2) checks the permissions as unlink(2) does, and then gives up. */
int lease_may_unlink(int dir, const char *name, const struct caller *caller)
{
	struct effective ids;
	int r = effective_begin(&ids, caller);

	if (r < 0)
		return r;
	r = unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : -ENOENT;
	effective_end(&ids);
	return r == -ENOTDIR ? 0 : r;
}

int lease_open(int dir, const char *name)
{
	struct stat st;

	/* O_NONBLOCK: what has become a fifo must not wait for a writer. */
	auto_fd fd = open_below(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd == -EWOULDBLOCK ? -EBUSY : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? steal_fd(&fd) : -ENOENT;
}

static int set_lease(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
		return 0;
	if (errno == EAGAIN)
		return -EBUSY;
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

int lease_take(int fd)
{
	struct stat st;
	uid_t own;
	int r;

	/*
	 * The signal that tells the holder about an opener ends a process by default: choose one
	 * that is ignored by default.
	 */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = set_lease(fd);
	if (r != -EACCES)
		return r;
	/* Without CAP_LEASE, which containers lack, it is granted to the file's owner alone. */
	own = setfsuid(st.st_uid);
	r = set_lease(fd);
	thread_set_file_ids(own, setfsgid(-1));
	return r;
}

bool lease_holds(int fd)
{
	return fcntl(fd, F_GETLEASE) == F_WRLCK;
}

void lease_drop(int fd)
{
	fcntl(fd, F_SETLEASE, F_UNLCK);
}

/* How often to try: another thread of the daemon may have the file open for a moment. */
#define PROOF_TRIES 3

static int try_proof(int dir, const char *name)
{
	auto_fd fd = lease_open(dir, name);
	int r = fd < 0 ? fd : lease_take(fd);

	if (r < 0)
		return r == -EBUSY ? 0 : r;
	lease_drop(fd);
	return 1;
}

int lease_proves_free(int dir, const char *name)
{
	/* One thread at a time: of two, each would find the other's descriptor. */
	static GMutex asking;
	int r = 0;

	g_mutex_lock(&asking);
	for (int tries = 0; r == 0 && tries < PROOF_TRIES; tries++)
		r = try_proof(dir, name);
	g_mutex_unlock(&asking);
	return r;
}

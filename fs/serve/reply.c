/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/reply.h"

#include "daemon/log.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>

/* ENOENT: given up by the kernel, see reply.h. Others mean that the connection is broken. */
bool reply_sent(int r)
{
	if (r < 0 && r != -ENOENT && r != -ENODEV && r != -ECONNABORTED)
		log_line("a reply could not be sent: %s", g_strerror(-r));
	return r >= 0;
}

void reply_result(fuse_req_t req, int result)
{
	reply_sent(fuse_reply_err(req, -result));
}

void reply_buf(fuse_req_t req, const void *data, size_t size)
{
	reply_sent(fuse_reply_buf(req, data, size));
}

void reply_count(fuse_req_t req, ssize_t result)
{
	if (result < 0)
		reply_result(req, result);
	else
		reply_sent(fuse_reply_write(req, result));
}

void reply_none(fuse_req_t req)
{
	fuse_reply_none(req);
}

void reply_xattr_size(fuse_req_t req, size_t size)
{
	reply_sent(fuse_reply_xattr(req, size));
}

void reply_offset(fuse_req_t req, off_t offset)
{
	reply_sent(fuse_reply_lseek(req, offset));
}

void reply_link_target(fuse_req_t req, const char *target)
{
	reply_sent(fuse_reply_readlink(req, target));
}

void reply_lock(fuse_req_t req, const struct flock *lock)
{
	reply_sent(fuse_reply_lock(req, lock));
}

void reply_ioctl(fuse_req_t req, const void *data, size_t size)
{
	reply_sent(fuse_reply_ioctl(req, 0, data, size));
}

void reply_poll(fuse_req_t req, unsigned events)
{
	reply_sent(fuse_reply_poll(req, events));
}

void reply_poll_of_file(fuse_req_t req, struct fuse_pollhandle *handle)
{
	if (handle)
		fuse_pollhandle_destroy(handle);
	reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

void reply_statfs(fuse_req_t req, const struct statvfs *st)
{
	reply_sent(fuse_reply_statfs(req, st));
}

void reply_statx(fuse_req_t req, struct statx *stx, double attr_timeout)
{
	reply_sent(fuse_reply_statx(req, 0, stx, attr_timeout));
}

bool reply_fh(fuse_req_t req, const struct fuse_file_info *fi)
{
	return reply_sent(fuse_reply_open(req, fi));
}

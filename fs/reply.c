/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reply.h"

#include "log.h"

#include <errno.h>
#include <glib.h>

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

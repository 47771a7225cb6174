/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Agrees with the kernel on what the session uses: passthrough, ACLs. */
#pragma once

struct fuse_conn_info;

/* Handles the first request of a session; `userdata` is the struct fs. Then the mount is ready. */
void negotiate(void *userdata, struct fuse_conn_info *conn);

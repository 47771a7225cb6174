/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and writes of /dev/fuse that try again where the kernel had no memory for a moment.
 * Otherwise the end of a read would be that of the service, and a caller whose answer got lost
 * would wait for ever.
 */
#pragma once

struct fuse_session;

/* Has libfuse use them; after the mount. 0 or a negative errno. */
int device_use(struct fuse_session *session);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/passthrough.h"

#include "base/patience/patience.h"
#include "daemon/fs.h"
#include "daemon/log.h"

#include <sys/ioctl.h>

/*
 * libfuse wraps the same calls, but needs a request, which is gone when a reply has failed, and
 * complains on its own. Headers before Linux 6.9 lack the definitions.
 */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

int passthrough_register(struct fs *fs, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(fuse_session_fd(fs->session), BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

void passthrough_unregister(struct fs *fs, int backing_id)
{
	struct patience patience = { 0 };
	uint32_t id = backing_id;
	int r;

	/* What is not released keeps the object's memory until the mount ends. */
	do
		r = ioctl(fuse_session_fd(fs->session), BACKING_CLOSE, &id);
	while (r < 0 && patience_waits(&patience, errno));
	if (r < 0)
		log_line("a backing file could not be released: %s", g_strerror(errno));
}

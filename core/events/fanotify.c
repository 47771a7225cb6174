/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/fanotify.h"

#include "base/util.h"
#include "events/handles.h"

#include <fcntl.h>
#include <sys/fanotify.h>

#define KINDS_OF_RECORDS                                                                           \
	(FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_MODIFY | FAN_OPEN | FAN_CLOSE_WRITE |          \
		FAN_CLOSE_NOWRITE)

int fanotify_open(struct fanotify_group *out, int directory, const char **why)
{
	int r = handle_of(directory, "", out->source);

	out->fd = -1;
	if (r < 0) {
		*why = "this tmpfs has no file handles";
		return r;
	}
	auto_fd fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK |
			FAN_REPORT_DFID_NAME_TARGET | FAN_REPORT_PIDFD,
		O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		*why = r == -EPERM   ? "fanotify needs CAP_SYS_ADMIN" :
			r == -EMFILE ? "there are too many fanotify groups" :
				       "the kernel has no fanotify with names (Linux 5.17)";
		return r;
	}
	if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, KINDS_OF_RECORDS, directory,
		    NULL) < 0) {
		r = -errno;
		*why = r == -EPERM ? "fanotify needs root of the machine" :
				     "fanotify cannot watch this tmpfs";
		return r;
	}
	out->fd = steal_fd(&fd);
	return 0;
}

void fanotify_close(struct fanotify_group *group)
{
	closep(&group->fd);
	group->fd = -1;
}

ssize_t fanotify_read(const struct fanotify_group *group, uint8_t buffer[FANOTIFY_BUFFER])
{
	ssize_t n = read(group->fd, buffer, FANOTIFY_BUFFER);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

bool fanotify_is_source(const struct fanotify_group *group, const struct file_id *id)
{
	const struct file_id source = { group->source, sizeof group->source, TMPFS_HANDLE_TYPE };

	return file_id_equal(&source, id);
}

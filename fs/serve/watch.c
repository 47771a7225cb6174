/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/watch.h"

#include "base/fdpath.h"
#include "base/util.h"
#include "daemon/log.h"
#include "serve/shutdown.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#define CHANGES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB)

/*
 * Room for some thousand events with short names. Of all that are read at once there is one
 * notification about the root.
 */
#define BUFFER_SIZE (64 * 1024)

/* How many milliseconds watch_stop() waits for a notification under way. */
#define PATIENCE_MS 2000

struct watch {
	struct fs *fs;
	GThread *thread; /* NULL: not started */
	int events;      /* of inotify; non-blocking */
	int wake;        /* an eventfd: tells the thread to end */
	gint works;      /* atomic */
	gint overflows;  /* atomic */
	gint done;       /* the thread is about to return; atomic */
};

bool watch_works(const struct fs *fs)
{
	return fs->watch && g_atomic_int_get(&fs->watch->works);
}

unsigned watch_overflows(const struct fs *fs)
{
	return fs->watch ? g_atomic_int_get(&fs->watch->overflows) : 0;
}

/* Notifications */

static void notify_root(struct watch *watch)
{
	if (shutdown_begin_notification())
		fuse_lowlevel_notify_inval_inode(watch->fs->session, FUSE_ROOT_ID, -1, 0);
	shutdown_end_notification();
}

/*
 * Has the kernel drop all names that it keeps. -ENOSYS before Linux 6.16: then it drops them when
 * their time is up.
 */
static void notify_all(struct watch *watch)
{
	if (shutdown_begin_notification())
		fuse_lowlevel_notify_increment_epoch(watch->fs->session);
	shutdown_end_notification();
}

/*
 * Has the kernel look the name up again, for a name that still leads to its object, whose owner or
 * mode has changed.
 */
static int expire(struct watch *watch, const char *name)
{
	struct fuse_session *session = watch->fs->session;
	int r = fuse_lowlevel_notify_expire_entry(session, FUSE_ROOT_ID, name, strlen(name));

	if (r == -ENOSYS)
		r = fuse_lowlevel_notify_inval_entry(session, FUSE_ROOT_ID, name, strlen(name));
	return r;
}

static void notify_name(struct watch *watch, const struct inotify_event *event)
{
	const char *name = event->name;
	int r = 0;

	if (shutdown_begin_notification())
		r = event->mask & IN_ATTRIB ? expire(watch, name) :
					      fuse_lowlevel_notify_inval_entry(watch->fs->session,
						      FUSE_ROOT_ID, name, strlen(name));
	shutdown_end_notification();
	/* The kernel may not have the name, or the mount may be gone. */
	if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -ENODEV && r != -ENOTCONN)
		notify_all(watch);
}

/* Events */

static void lost(struct watch *watch)
{
	g_atomic_int_inc(&watch->overflows);
	notify_all(watch);
	notify_root(watch);
}

/*
 * Ends the watch: the kernel keeps nothing from now on, and drops what it has as after lost events.
 */
static void fail(struct watch *watch, const char *why)
{
	log_line("changes of %s are seen no more: %s; nothing is kept from now on",
		watch->fs->options.source, why);
	watch->fs->watch_missing = why;
	g_atomic_int_set(&watch->works, FALSE);
	lost(watch);
}

static void handle(struct watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		lost(watch);
	else if (event->mask & IN_IGNORED)
		fail(watch, "the kernel has ended the watch");
	/*
	 * IN_CREATE needs nothing: an older object of that name was reported when it was removed.
	 * An event without a name is about the root, and drain() has notified that.
	 */
	else if (event->len > 0 &&
		event->mask & (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB))
		notify_name(watch, event);
}

/* Reads and handles what there is: 0, or a negative errno. */
static int drain(struct watch *watch, char *buf)
{
	ssize_t n = read(watch->events, buf, BUFFER_SIZE);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	/*
	 * The root comes first, because that never waits, and the root's mode decides who may
	 * enter.
	 */
	notify_root(watch);
	for (ssize_t at = 0; at < n && !shutdown_is_requested();) {
		const struct inotify_event *event = (const struct inotify_event *)(buf + at);

		handle(watch, event);
		at += (ssize_t)(sizeof *event + event->len);
	}
	return 0;
}

static gpointer run(gpointer data)
{
	struct watch *watch = data;
	struct pollfd sources[] = {
		{ .fd = watch->events, .events = POLLIN },
		{ .fd = watch->wake, .events = POLLIN },
	};
	g_autofree char *buf = g_malloc(BUFFER_SIZE);
	int r = 0;

	while (r == 0 && watch_works(watch->fs) && !shutdown_is_requested()) {
		r = poll(sources, G_N_ELEMENTS(sources), -1) < 0 ? -errno : drain(watch, buf);
		if (r == -EINTR)
			r = 0;
	}
	if (r < 0)
		fail(watch, g_strerror(-r));
	g_atomic_int_set(&watch->done, TRUE);
	return NULL;
}

/* Start and end */

void watch_free(struct fs *fs)
{
	struct watch *watch = fs->watch;

	if (!watch)
		return;
	closep(&watch->events);
	closep(&watch->wake);
	g_free(watch);
	fs->watch = NULL;
}

static int add_watch(struct watch *watch)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return -errno;
	watch->events = fd;
	if (inotify_add_watch(fd, fd_path(watch->fs->shm_fd).text, CHANGES | IN_ONLYDIR) < 0)
		return -errno;
	watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return watch->wake < 0 ? -errno : 0;
}

static void do_without(struct fs *fs, int err)
{
	watch_free(fs);
	if (err == -EMFILE || err == -ENOSPC)
		fs->watch_missing = "this user has no inotify instance or watch left "
				    "(sysctl fs.inotify.max_user_instances, max_user_watches)";
	else
		fs->watch_missing = g_strerror(-err);
	log_line("%s cannot be watched, so that no names are kept: %s", fs->options.source,
		fs->watch_missing);
}

void watch_open(struct fs *fs)
{
	int r;

	if (!fs->options.watch)
		return;
	fs->watch = g_new0(struct watch, 1);
	*fs->watch = (struct watch){ .fs = fs, .events = -1, .wake = -1 };
	r = add_watch(fs->watch);
	if (r < 0)
		do_without(fs, r);
}

void watch_start(struct fs *fs)
{
	struct watch *watch = fs->watch;

	if (!watch)
		return;
	g_atomic_int_set(&watch->works, TRUE);
	watch->thread = g_thread_try_new("watch", run, watch, NULL);
	if (!watch->thread)
		do_without(fs, -EAGAIN);
}

bool watch_stop(struct fs *fs)
{
	struct watch *watch = fs->watch;
	uint64_t one = 1;
	ssize_t n;

	if (!watch || !watch->thread)
		return true;
	g_atomic_int_set(&watch->works, FALSE);
	shutdown_request();
	n = write(watch->wake, &one, sizeof one);
	(void)n; /* it is non-blocking, and full only when the thread is awake anyway */
	for (unsigned i = 0; i < PATIENCE_MS && !g_atomic_int_get(&watch->done); i++)
		g_usleep(1000);
	if (!g_atomic_int_get(&watch->done))
		return false;
	g_thread_join(watch->thread);
	watch->thread = NULL;
	return true;
}

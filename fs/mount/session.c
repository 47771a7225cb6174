/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/session.h"

#include "base/util.h"
#include "daemon/identity.h"
#include "daemon/log.h"
#include "events/events.h"
#include "faults/faults.h"
#include "mount/attributes.h"
#include "mount/dead-mount.h"
#include "mount/negotiate.h"
#include "ops/ops.h"
#include "procfs/mountinfo.h"
#include "serve/defer.h"
#include "serve/device.h"
#include "serve/lock-wait.h"
#include "serve/periodic-census.h"
#include "serve/serve.h"
#include "serve/shutdown.h"
#include "serve/event-stream.h"
#include "views/walks.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/mount.h>

/* A comma in the label must not end the option. */
static void add_label(struct fuse_args *args, const char *label)
{
	g_autofree char *option = g_strconcat("fsname=", label, NULL);
	char *escaped = NULL;

	fuse_opt_add_opt_escaped(&escaped, option);
	fuse_opt_insert_arg(args, 1, "-o");
	fuse_opt_insert_arg(args, 2, escaped);
	free(escaped);
}

static void add_source_attributes(struct fs *fs)
{
	struct fuse_args *args = &fs->options.fuse;
	unsigned attributes = attributes_of_source(fs);

	if (attributes & MOUNT_ATTR_NOSUID)
		fuse_opt_add_arg(args, "-onosuid");
	if (attributes & MOUNT_ATTR_NODEV)
		fuse_opt_add_arg(args, "-onodev");
	if (attributes & MOUNT_ATTR_NOEXEC)
		fuse_opt_add_arg(args, "-onoexec");
}

static void add_mount_options(struct fs *fs)
{
	struct fuse_args *args = &fs->options.fuse;

	if (fs->kernel_permits)
		fuse_opt_insert_arg(args, 1, "-odefault_permissions");
	if (fsuid_privileged())
		fuse_opt_insert_arg(args, 1, "-oallow_other");
	add_label(args, fs->options.label);
	/* Last, so that they win over what mount(8)'s helper and libfuse have added. */
	add_source_attributes(fs);
	fuse_opt_add_arg(args, "-osubtype=shmtree");
}

/* Does in advance what the first question would wait for. */
static void prepare_census(struct fs *fs, struct deferred *d)
{
	(void)d;
	census_prepare(fs->census);
}

static int new_session(struct fs *fs)
{
	struct fuse_lowlevel_ops ops = fs_ops;

	add_mount_options(fs);
	ops.init = negotiate;
	fs->session = fuse_session_new(&fs->options.fuse, &ops, sizeof ops, fs);
	if (!fs->session) {
		log_failure("libfuse did not accept the options", "see shmtree --help");
		return -1;
	}
	if (shutdown_init(fs) < 0) {
		log_failure("signal handlers could not be set", "there may be too many open files");
		return -1;
	}
	return 0;
}

static int mount_here(struct fs *fs)
{
	if (fuse_session_mount(fs->session, fs->options.mountpoint) == 0)
		return 0;
	log_failure("the mount was refused", "see mount.fuse3(8)");
	return -1;
}

/*
 * Replaces a dead mount: libfuse takes over what has been mounted in its place, or mounts once the
 * dead mount is gone.
 */
static int mount_for_dead(struct fs *fs)
{
	g_autofree char *real = NULL, *given = NULL;

	auto_fd lock = dead_mount_lock(), device = -1;
	if (!dead_mount_find(fs->options.mountpoint, &real)) {
		log_line("%s: another daemon has mounted there meanwhile", fs->options.mountpoint);
		return -1;
	}
	device = dead_mount_replace(fs);
	if (new_session(fs) < 0)
		return -1;
	if (device < 0)
		return dead_mount_clear(real) < 0 ? -1 : mount_here(fs);
	given = g_strdup_printf("/dev/fd/%d", device);
	fs->replaced = fuse_session_mount(fs->session, given) == 0;
	if (fs->replaced)
		steal_fd(&device);
	return fs->replaced ? 0 : -1;
}

int session_mount(struct fs *fs)
{
	struct deferred d = { 0 };
	struct mount mount;

	defer_if(fs, true, &d, prepare_census);
	if (fs->options.dead ? mount_for_dead(fs) < 0 : new_session(fs) < 0 || mount_here(fs) < 0)
		return -1;
	/* If a distribution's libfuse has no custom I/O, it reads and writes by itself. */
	(void)device_use(fs->session);
	if (mountinfo_find(fs->options.mountpoint, &mount) == 1) {
		fs->realm.mount_dev = mount.dev;
		census_set_mount(fs->census, mount.dev);
		faults_set_mount(fs->faults, mount.dev);
		return 0;
	}
	log_line("%s: the mount is not in /proc/self/mountinfo; is /proc mounted?",
		fs->options.mountpoint);
	return -1;
}

/*
 * Answers requests until the one that settles the protocol, which is the first, has been answered.
 * 0, or a negative errno.
 */
static int settle_protocol(struct fs *fs)
{
	struct fuse_buf buf = { 0 };
	int r = 0;

	while (!fs->settled && !fuse_session_exited(fs->session)) {
		r = fuse_session_receive_buf(fs->session, &buf);
		if (r > 0)
			fuse_session_process_buf(fs->session, &buf);
		else if (r != -EINTR)
			break;
	}
	free(buf.mem);
	return fs->settled || fuse_session_exited(fs->session) ? 0 : r;
}

/*
 * Returns how many threads are to serve. With passthrough one is best (serve.h). Without, the
 * threads copy the data as well: then as many as there are cores, up to a few.
 */
static unsigned serving_threads(const struct fs *fs)
{
	if (fs->options.cmdline.singlethread)
		return 1;
	if (fs->options.max_threads > 0)
		return fs->options.max_threads;
	return fs->passthrough ? 1 : CLAMP(g_get_num_processors(), 1, 4);
}

int session_serve(struct fs *fs)
{
	int r;

	/* Who finds the mount there relies on bus errors being seen from now on. */
	(void)faults_why_not(fs->faults);
	r = settle_protocol(fs);
	if (r == 0) {
		if (fs->options.log)
			walks_begin(fs->walks);
		periodic_census_start(fs);
	}
	if (r == 0)
		r = serve(fs, serving_threads(fs));
	if (r < 0)
		log_line("serving the mount failed: %s", g_strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The kernel has ended the connection: nothing is mounted any more. */
static bool is_unmounted(struct fs *fs)
{
	struct pollfd device = { .fd = fs->session ? fuse_session_fd(fs->session) : -1 };

	return poll(&device, 1, 0) == 1 && device.revents & POLLERR;
}

/* Another daemon's mount may have followed on the same path, and with the same device number. */
static void unmount_own(struct fs *fs)
{
	struct mount mount;

	if (is_unmounted(fs))
		return;
	if (mountinfo_find(fs->options.mountpoint, &mount) != 1 || mount.dev != fs->realm.mount_dev)
		return;
	if (!fsuid_privileged())
		unmount_by_helper(fs->options.mountpoint);
	else
		umount2(fs->options.mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
}

/* Before the workers are ended: the events' thread has them answer reads. */
static bool end_events(struct fs *fs)
{
	bool walked = !fs->walks || walks_stop(fs->walks);

	return (!fs->events || events_stop(fs->events)) && walked;
}

/*
 * As long as threads are still answering, the connection's descriptor must not be closed: its
 * number could become that of some segment, and an answer be written into that segment.
 */
void session_end(struct fs *fs)
{
	if (fs->streams)
		event_streams_end(fs->streams);
	if (!lock_wait_stop() || !end_events(fs) || (fs->workers && !defer_stop(fs)))
		fs->stuck = true;
	if (!periodic_census_stop(fs))
		fs->stuck = true;
	if (fs->replaced || fs->stuck)
		unmount_own(fs);
	/*
	 * The mount is gone, as was asked (or was never there); the threads that are left wait for
	 * other processes, and use what the caller would free. libfuse's unmounting would close the
	 * descriptor.
	 */
	if (fs->stuck)
		_exit(fs->settled ? EXIT_SUCCESS : EXIT_FAILURE);
	if (!fs->session)
		return;
	fuse_session_unmount(fs->session);
	fuse_session_destroy(fs->session);
	fs->session = NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/session.h"

#include "base/privilege.h"
#include "daemon/identity.h"
#include "daemon/log.h"
#include "mount/negotiate.h"
#include "ops/ops.h"
#include "procfs/mountinfo.h"
#include "serve/defer.h"
#include "serve/device.h"
#include "serve/lock-wait.h"
#include "serve/serve.h"
#include "serve/shutdown.h"
#include "serve/watch.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

/*
 * Requests that one processor's ring takes before it takes no more until one is answered, which may
 * be one that waits for a lock. libfuse's 8 are soon full of those.
 */
#define RING_PLACES "64"

/* What prevents the mount */

static int check_fuse(void)
{
	if (access("/dev/fuse", R_OK | W_OK) == 0)
		return 0;
	if (errno == ENOENT)
		log_line("there is no /dev/fuse; load the module (modprobe fuse), or give the "
			 "container "
			 "the device");
	else
		log_line("no access to /dev/fuse: %s; run it as root, or ask for access",
			g_strerror(errno));
	return -1;
}

/* Whoever was mounted there was killed: its objects are the kernel's, only the mount is left over. */
static int clear_dead_mount(const char *path)
{
	const char *const helper[] = { "fusermount3", "-u", "-z", "-q", path, NULL };
	struct mount mount;

	if (mountinfo_find(path, &mount) == 1 && strcmp(mount.fstype, "fuse.shmtree") == 0 &&
		(fsuid_privileged() ? umount2(path, MNT_DETACH) == 0 :
				      g_spawn_sync(NULL, (char **)helper, NULL,
					      G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL,
					      NULL, NULL, NULL, NULL, NULL, NULL)))
		return 0;
	log_line("%s: the file system mounted there is dead; clear it with umount -l %s", path,
		path);
	return -1;
}

static int check_mountpoint(struct options *options)
{
	struct stat st, source;
	struct mount mount;
	g_autofree char *real = NULL;

	/* The one is what the kernel says while it ends the connection, the other from then on. */
	if (stat(options->mountpoint, &st) < 0 && (errno == ENOTCONN || errno == ECONNABORTED) &&
		clear_dead_mount(options->mountpoint) < 0)
		return -1;
	real = realpath(options->mountpoint, NULL);
	if (!real || stat(real, &st) < 0) {
		log_line("%s: %s; create it first (mkdir) or name another directory",
			options->mountpoint, g_strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_line("%s is not a directory; name an empty directory to mount on", real);
		return -1;
	}
	if (!fsuid_privileged() && access(real, W_OK) < 0) {
		log_line("%s: no permission to mount there; a normal user mounts on a directory of "
			 "their own",
			real);
		return -1;
	}
	if (mountinfo_find(real, &mount) == 1 && strcmp(mount.fstype, "fuse.shmtree") == 0) {
		log_line("%s: shmtree is mounted there already; unmount it first (umount %s) or "
			 "name another "
			 "directory",
			real, real);
		return -1;
	}
	/* Every program's shared memory would hang on the daemon's life. */
	if (stat(options->source, &source) == 0 && source.st_dev == st.st_dev &&
		source.st_ino == st.st_ino) {
		log_line("%s is where the objects are; name another directory to mount on", real);
		return -1;
	}
	g_free(options->mountpoint);
	options->mountpoint = g_strdup(real);
	return 0;
}

/* In a container nobody may have what mount(2) asks for, and fusermount3 would not say why. */
static int check_power(void)
{
	if (privilege_capable(CAP_SYS_ADMIN) || privilege_attainable(CAP_SYS_ADMIN))
		return 0;
	log_line("mounting needs CAP_SYS_ADMIN, which no program can have here; start the "
		 "container with it (--cap-add SYS_ADMIN), or without no-new-privileges");
	return -1;
}

static int check_helper(void)
{
	g_autofree char *helper = NULL;

	if (fsuid_privileged())
		return 0;
	helper = g_find_program_in_path("fusermount3");
	if (helper)
		return 0;
	log_line("fusermount3, which mounts for a normal user, is not installed; install the "
		 "package "
		 "fuse3 or run it as root");
	return -1;
}

int session_check(struct options *options)
{
	if (check_fuse() < 0 || check_mountpoint(options) < 0 || check_power() < 0 ||
		check_helper() < 0)
		return -1;
	return 0;
}

/* Mounting */

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

static void add_mount_options(struct fs *fs)
{
	struct fuse_args *args = &fs->options.fuse;
	struct statvfs st;

	fuse_opt_insert_arg(args, 1, "-odefault_permissions");
	if (fsuid_privileged())
		fuse_opt_insert_arg(args, 1, "-oallow_other");
	if (fs->options.io_uring)
		fuse_opt_insert_arg(args, 1, "-oio_uring,io_uring_q_depth=" RING_PLACES);
	if (fstatvfs(fs->shm_fd, &st) == 0 && st.f_flag & ST_NOEXEC)
		fuse_opt_insert_arg(args, 1, "-onoexec");
	add_label(args, fs->options.label);
	/* Last, so that it wins: libfuse has added the name that the program was called by. */
	fuse_opt_add_arg(args, "-osubtype=shmtree");
}

/* What the first question would wait for: begun now, it is over when somebody asks. */
static void prepare_census(struct fs *fs, struct deferred *d)
{
	(void)d;
	census_prepare(fs->census);
}

int session_mount(struct fs *fs)
{
	struct fuse_lowlevel_ops ops = fs_ops;
	struct deferred d = { 0 };
	struct mount mount;

	defer_if(fs, true, &d, prepare_census);
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
	if (fuse_session_mount(fs->session, fs->options.mountpoint) < 0) {
		log_failure("the mount was refused", "see mount.fuse3(8)");
		return -1;
	}
	/* A distribution's libfuse may be without custom I/O: then it reads and writes by itself. */
	(void)device_use(fs->session);
	if (mountinfo_find(fs->options.mountpoint, &mount) == 1) {
		fs->realm.mount_dev = mount.dev;
		census_set_mount(fs->census, mount.dev);
		return 0;
	}
	log_line("%s: the mount is not in /proc/self/mountinfo; is /proc mounted?",
		fs->options.mountpoint);
	return -1;
}

/*
 * Answers requests until the first, which settles the protocol, is one of them. 0, or a negative
 * errno.
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
 * With passthrough one thread is best (serve.h). Without, it copies the data as well: then as many
 * as there are cores, up to a few.
 */
static unsigned serving_threads(const struct fs *fs)
{
	if (fs->options.cmdline.singlethread)
		return 1;
	if (fs->options.max_threads > 0)
		return fs->options.max_threads;
	return fs->passthrough ? 1 : CLAMP(g_get_num_processors(), 1, 4);
}

/* What came by io_uring libfuse serves by a thread for each core, which only its own loop ends. */
static int serve_io_uring(struct fs *fs)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	fuse_loop_cfg_set_max_threads(config, 1);
	r = fuse_session_loop_mt(fs->session, config);
	fuse_loop_cfg_destroy(config);
	return r;
}

int session_serve(struct fs *fs)
{
	int r = settle_protocol(fs);

	if (r == 0)
		watch_start(fs);
	if (r == 0)
		r = fs->io_uring ? serve_io_uring(fs) : serve(fs, serving_threads(fs));
	if (r < 0)
		log_line("serving the mount failed: %s", g_strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * A notification that hangs in the kernel, on a caller whom nobody serves any more, would keep the
 * connection open, and everybody else waiting, even beyond the end of this process. Root can end
 * the connection itself.
 */
static void abort_connection(struct fs *fs)
{
	struct mount mount;

	if (mountinfo_find(fs->options.mountpoint, &mount) == 1 && mount.dev == fs->realm.mount_dev)
		umount2(fs->options.mountpoint, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW);
}

static bool end_watch(struct fs *fs)
{
	if (watch_stop(fs))
		return true;
	abort_connection(fs);
	return watch_stop(fs);
}

/*
 * While answers are still under way the connection's descriptor must stay what it is: were it
 * closed, its number could become some segment's, and an answer be written into that.
 */
void session_end(struct fs *fs)
{
	if (!lock_wait_stop() || (fs->workers && !defer_stop(fs)))
		fs->stuck = true;
	if (!end_watch(fs))
		fs->stuck = true;
	shutdown_finish();
	if (!fs->session)
		return;
	fuse_session_unmount(fs->session);
	/* The mount is gone, as was asked (or was never there); what is left hangs on others. */
	if (fs->stuck)
		_exit(fs->settled ? EXIT_SUCCESS : EXIT_FAILURE);
	fuse_session_destroy(fs->session);
	fs->session = NULL;
}

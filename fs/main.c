/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shmtree: the machine's shared memory as a tree of files. */
#include "base/util.h"
#include "caller/account.h"
#include "daemon/charge.h"
#include "daemon/fs.h"
#include "daemon/identity.h"
#include "daemon/log.h"
#include "daemon/permit.h"
#include "events/events.h"
#include "faults/faults.h"
#include "kinds/posix.h"
#include "kinds/posix-removal.h"
#include "list/list.h"
#include "mount/background.h"
#include "mount/prerequisites.h"
#include "mount/session.h"
#include "node/node.h"
#include "procfs/proc.h"
#include "serve/defer.h"
#include "serve/lock-wait.h"
#include "serve/event-stream.h"
#include "views/fault-segment.h"
#include "views/walks.h"
#include "tree/shared-open.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/*
 * Whoever started this process may have closed its standard streams. Then the first files that it opens would be
 * those, and what it prints, or /dev/null in the background, would get into them. Opened in this direction they fail
 * when they are used, as closed ones do.
 */
static bool open_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

/* As many descriptors as the system allows: one for each open file, and its locks. */
static void raise_limits(void)
{
	g_autofree char *text = NULL;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	/* The hard limit goes up with CAP_SYS_RESOURCE only, which a container's root may not have. */
	if (g_file_get_contents("/proc/sys/fs/nr_open", &text, NULL, NULL)) {
		limit.rlim_cur = limit.rlim_max = MAX(limit.rlim_max, strtoull(text, NULL, 10));
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	/* The kernel applies the caller's own limit on file size; the daemon must not add its own. */
	if (fsuid_privileged())
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	signal(SIGXFSZ, SIG_IGN);
}

/* A daemon that was killed in the middle of a removal has left an object under a hidden name. */
static void restore_objects(struct fs *fs)
{
	unsigned restored = posix_restore_hidden(fs->shm_fd);

	if (restored > 0)
		log_line("objects whose removal was interrupted have their names again: %u",
			restored);
}

/* This process's: after the fork, if there is one. */
static int open_proc(struct fs *fs)
{
	fs->proc_fd_dir = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->proc_fd_dir < 0) {
		log_line("/proc/self/fd: %s; mount procfs on /proc", g_strerror(errno));
		return -1;
	}
	return 0;
}

/* A process has made a segment shorter, outside of the mount. */
static void note_shrink(const struct shrink *shrink, void *data)
{
	const struct fs *fs = data;
	const struct segment_key key = {
		.dev = fs->shm_dev,
		.ino = shrink->inode,
		.class = SEGMENT_FILE,
	};

	truncations_note_outside(fs->truncations, &key, shrink);
}

/* Nothing is watched yet, unless there is to be a log. */
static int start_events(struct fs *fs)
{
	const struct events_config config = {
		.directory = fs->shm_fd,
		.kind = segment_class_name(SEGMENT_FILE),
		.reserved = POSIX_RESERVED_NAME,
		.hidden_prefix = POSIX_HIDDEN_PREFIX,
		.wake = event_streams_wake,
		.shrunk = note_shrink,
		.data = fs,
	};
	int r = events_new(&config, &fs->events);

	if (r == 0) {
		fs->realm.events = fs->events;
		fs->streams = event_streams_new(fs);
		fs->walks = walks_new(&fs->realm, fs->events);
		r = fs->options.log ? events_use(fs->events) : 0;
	}
	if (r < 0)
		log_line("events cannot be read: %s", g_strerror(-r));
	return r;
}

/* Why this daemon does not look for bus errors, or NULL. */
static const char *why_no_faults(const struct fs *fs)
{
	struct proc *proc = NULL;
	const char *why = NULL;

	if (fs->options.census != CENSUS_AUTO && fs->options.census != CENSUS_BPF)
		return "goes with census=bpf";
	if (proc_open(fs->options.proc, &proc) < 0 || !proc_is_own(proc))
		why = "knows those of this machine, not those of another procfs";
	proc_close(proc);
	return why;
}

static void tell_fault(const struct fault *fault, void *data)
{
	const struct fs *fs = data;

	fault_tell(fault, &fs->realm, fs->events);
}

static void start_faults(struct fs *fs)
{
	const struct faults_config config = {
		.census = fs->census,
		.truncations = fs->truncations,
		.ipc_ns = fs->realm.ipc_ns,
		.why_not = why_no_faults(fs),
		.tell = tell_fault,
		.data = fs,
	};

	fs->faults = faults_new(&config);
}

static int run(struct fs *fs)
{
	clock_gettime(CLOCK_REALTIME, &fs->started);
	if (fs_open_source(fs) < 0)
		return EXIT_FAILURE;
	permit_choose(fs);
	/* From here on in the process that stays: threads do not survive a fork. */
	if (!fs->options.cmdline.foreground)
		background_start();
	lock_wait_init();
	fs->charges = charges_new(account_of);
	fs->shared_opens = shared_opens_new();
	fs->nodes = node_table_new(fs->charges);
	restore_objects(fs);
	if (open_proc(fs) < 0 || fs_start_census(fs) < 0)
		return EXIT_FAILURE;
	fs->truncations = truncations_new(fs->options.proc);
	if (start_events(fs) < 0)
		return EXIT_FAILURE;
	start_faults(fs);
	if (defer_start(fs) < 0 || session_mount(fs) < 0)
		return EXIT_FAILURE;
	return session_serve(fs);
}

static void fs_clear(struct fs *fs)
{
	session_end(fs);
	/* These use the streams. */
	faults_free(fs->faults);
	while (fs->events && !events_stop(fs->events))
		;
	if (fs->streams)
		event_streams_free(fs->streams);
	if (fs->walks)
		walks_free(fs->walks);
	if (fs->events)
		events_free(fs->events);
	if (fs->nodes)
		node_table_free(fs->nodes);
	if (fs->charges)
		charges_free(fs->charges);
	if (fs->shared_opens)
		shared_opens_free(fs->shared_opens);
	truncations_free(fs->truncations);
	if (fs->census)
		census_free(fs->census);
	closep(&fs->shm_fd);
	closep(&fs->proc_fd_dir);
	options_free(&fs->options);
}

static int list_segments(struct fs *fs, int argc, char **argv)
{
	raise_limits();
	fsuid_settle();
	return list_main(fs, argc, argv);
}

static int mount_and_serve(struct fs *fs, int argc, char **argv)
{
	switch (options_parse(argc, argv, &fs->options)) {
	case OPTIONS_DONE:
		return EXIT_SUCCESS;
	case OPTIONS_MOUNT:
		raise_limits();
		fsuid_settle();
		return prerequisites_check(&fs->options) == 0 ? run(fs) : EXIT_FAILURE;
	case OPTIONS_WRONG:
		break;
	}
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct fs fs = { .shm_fd = -1, .proc_fd_dir = -1 };
	int status;

	if (!open_standard_streams())
		return EXIT_FAILURE; /* there is nothing to say so on */
	memory_init();
	log_init();
	fsuid_init();
	status = list_wanted(argc, argv) ? list_segments(&fs, argc, argv) :
					   mount_and_serve(&fs, argc, argv);
	fs_clear(&fs);
	return status;
}

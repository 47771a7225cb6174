/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stand-in.h"

#include "caller/account.h"
#include "caller/fsuid.h"
#include "daemon/charge.h"
#include "daemon/fs.h"
#include "daemon/log.h"
#include "events/events.h"
#include "faults/faults.h"
#include "faults/truncations.h"
#include "kinds/posix-removal.h"
#include "kinds/posix.h"
#include "node/node.h"
#include "ops/ops.h"
#include "serve/defer.h"
#include "serve/event-stream.h"
#include "serve/lock-wait.h"
#include "tree/shared-open.h"
#include "views/walks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define FILES_LEFT 200 /* more than the daemon's threads keep for a while */

static struct {
	struct fs fs;
	GMutex lock;
	GCond replied;
	uint64_t unique; /* of the request that waits */
	bool answered, refuse;
	struct answer answer;
	uint64_t inputs;
	unsigned files;
} self;

static void take_answer(const struct fuse_out_header *out, const struct iovec *iov, int count)
{
	size_t at = 0;

	g_assert(out->unique == self.unique && !self.answered);
	g_assert(out->error <= 0 && out->error > -512);
	self.answer.error = out->error;
	self.answer.taken = !self.refuse;
	for (int i = 1; i < count; i++) {
		size_t n = MIN(iov[i].iov_len, sizeof self.answer.bytes - at);

		memcpy(self.answer.bytes + at, iov[i].iov_base, n);
		at += n;
	}
	self.answer.size = at;
	self.answered = true;
	g_cond_signal(&self.replied);
}

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	size_t size = 0;
	bool refused = false;

	(void)fd, (void)userdata;
	for (int i = 0; i < count; i++)
		size += iov[i].iov_len;
	g_assert(out->len == size);
	if (out->unique != 0) {
		g_mutex_lock(&self.lock);
		refused = self.refuse;
		take_answer(out, iov, count);
		g_mutex_unlock(&self.lock);
	}
	errno = ENOENT;
	return refused ? -1 : (ssize_t)size;
}

static ssize_t read_nothing(int fd, void *buf, size_t size, void *userdata)
{
	(void)fd, (void)buf, (void)size, (void)userdata;
	errno = ENODEV;
	return -1;
}

/* A tmpfs of its own, which nobody else sees and which has little room; and no System V segments. */
static char *make_source(void)
{
	g_autofree char *directory = g_dir_make_tmp("shmtree-fuzz-XXXXXX", NULL);

	if (!directory || unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("shm", directory, "tmpfs", 0, "size=4m,mode=1777") < 0)
		return NULL;
	return g_steal_pointer(&directory);
}

/* A procfs with one process, so that a census takes no time. */
static char *make_proc(const char *source)
{
	static const char *const files[][2] = {
		{ "1/stat", "1 (init) S 0 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n" },
		{ "1/status", "Name:\tinit\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \n" },
		{ "1/maps", "" },
		{ "1/cmdline", "init" },
		{ "1/cgroup", "0::/\n" },
	};
	char *proc = g_strdup_printf("%s-proc", source);
	g_autofree char *process = g_build_filename(proc, "1", "fd", NULL);

	g_mkdir_with_parents(process, 0755);
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(proc, files[i][0], NULL);

		g_file_set_contents(path, files[i][1], -1, NULL);
	}
	return proc;
}

static bool set_options(struct fs *fs)
{
	g_autofree char *source = make_source();
	g_autofree char *proc = source ? make_proc(source) : NULL;
	g_autofree char *options = g_strdup_printf(
		"census=text,passthrough=off,object_census=off,proc=%s", proc ? proc : "");
	char program[] = "shmtree", mount[] = "/mnt", foreground[] = "-f", given[] = "-o";
	char *argv[] = { program, source, mount, foreground, given, options, NULL };

	return source && options_parse(G_N_ELEMENTS(argv) - 1, argv, &fs->options) == OPTIONS_MOUNT;
}

static bool start_core(struct fs *fs)
{
	const struct events_config events = {
		.directory = fs->shm_fd,
		.kind = segment_class_name(SEGMENT_FILE),
		.reserved = POSIX_RESERVED_NAME,
		.hidden_prefix = POSIX_HIDDEN_PREFIX,
		.wake = event_streams_wake,
		.data = fs,
	};
	struct faults_config faults = { .why_not = "there is no mount", .data = fs };

	fs->charges = charges_new(account_of);
	fs->shared_opens = shared_opens_new();
	fs->nodes = node_table_new(fs->charges);
	fs->proc_fd_dir = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs_start_census(fs) < 0 || events_new(&events, &fs->events) < 0)
		return false;
	fs->truncations = truncations_new("/proc");
	faults.census = fs->census;
	faults.truncations = fs->truncations;
	fs->faults = faults_new(&faults);
	fs->realm.events = fs->events;
	fs->streams = event_streams_new(fs);
	fs->walks = walks_new(&fs->realm, fs->events);
	return defer_start(fs) == 0;
}

static void agree(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
	fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS);
	fs->settled = true;
}

static bool start_session(struct fs *fs)
{
	static const struct fuse_custom_io io = { .read = read_nothing, .writev = write_answer };
	struct request hello = { .header.opcode = FUSE_INIT, .size = sizeof(struct fuse_init_in) };
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 1 << 17,
		.flags = 0x7fffffff & ~FUSE_INIT_EXT,
	};
	struct fuse_lowlevel_ops ops = fs_ops;

	ops.init = agree;
	fs->session = fuse_session_new(&fs->options.fuse, &ops, sizeof ops, fs);
	if (!fs->session ||
		fuse_session_custom_io(fs->session, &io, sizeof io, open("/dev/null", O_RDWR)) < 0)
		return false;
	memcpy(hello.bytes, &in, sizeof in);
	stand_in_ask(&hello);
	return fs->settled;
}

static unsigned count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

bool stand_in_begin(void)
{
	static int works = -1;
	struct fs *fs = &self.fs;

	if (works >= 0)
		return works;
	fs->shm_fd = fs->proc_fd_dir = -1;
	log_init();
	fsuid_init();
	lock_wait_init();
	works = set_options(fs) && fs_open_source(fs) == 0 && start_core(fs) && start_session(fs);
	self.files = count_files();
	return works;
}

struct fs *stand_in_fs(void)
{
	return &self.fs;
}

void stand_in_send(const struct request *request)
{
	size_t size = sizeof request->header + request->size;
	/* Of its size exactly, for the sanitizer. */
	g_autofree char *bytes = g_malloc(size);
	struct fuse_in_header *header = (struct fuse_in_header *)bytes;
	struct fuse_buf buf = { .mem = bytes, .size = size, .mem_size = size };

	memcpy(bytes, &request->header, sizeof request->header);
	memcpy(bytes + sizeof request->header, request->bytes, request->size);
	header->len = size;
	header->unique = self.unique;
	fuse_session_process_buf(self.fs.session, &buf);
}

const struct answer *stand_in_ask(const struct request *request)
{
	gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

	self.unique += 2; /* odd ones are interrupts, in libfuse's eyes */
	self.answered = false;
	stand_in_send(request);
	g_mutex_lock(&self.lock);
	while (!self.answered)
		g_assert(g_cond_wait_until(&self.replied, &self.lock, end));
	g_mutex_unlock(&self.lock);
	return &self.answer;
}

void stand_in_refuse(bool refuse)
{
	self.refuse = refuse;
}

void stand_in_end(void)
{
	DIR *dir = fdopendir(openat(self.fs.shm_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *entry;

	while ((entry = readdir(dir)))
		unlinkat(self.fs.shm_fd, entry->d_name, 0);
	closedir(dir);
	if (++self.inputs % 1024 == 0)
		g_assert(count_files() < self.files + FILES_LEFT);
}

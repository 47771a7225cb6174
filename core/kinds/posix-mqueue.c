/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/posix-mqueue.h"

#include "kinds/attribute.h"
#include "base/file-text.h"
#include "base/fdpath.h"
#include "caller/effective.h"
#include "kinds/lease.h"
#include "kinds/queue-holders.h"
#include "procfs/mountinfo.h"
#include "kinds/sysvipc.h"
#include "base/libc.h"
#include "base/util.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct queue {
	struct item item;
	uint64_t dev; /* st_dev of its file */
	/* What its file says, for those who may read it. */
	uint64_t messages, messages_max, message_size; /* count, count, bytes */
	uint64_t bytes;
	pid_t notify_pid;
};

bool mqueue_parse(const char *text, struct mqueue_text *out)
{
	unsigned long long bytes;
	int notify, signal, pid;

	if (sscanf(text, "QSIZE:%llu NOTIFY:%d SIGNO:%d NOTIFY_PID:%d", &bytes, &notify, &signal,
		    &pid) != 4 ||
		pid < 0)
		return false;
	*out = (struct mqueue_text){ bytes, pid };
	return true;
}

static void pick_mqueue(const char *point, const struct mount *mount, void *data)
{
	char **found = data;

	if (!*found && strcmp(mount->fstype, "mqueue") == 0)
		*found = g_strdup(point);
}

char *mqueue_find_mount(const char *mountinfo)
{
	char *found = NULL;

	mountinfo_each(mountinfo, pick_mqueue, &found);
	return found;
}

/* Mounts an instance for the namespace that this thread is in, on no directory. */
static int open_detached(void)
{
	auto_fd context = fsopen("mqueue", FSOPEN_CLOEXEC);
	auto_fd mount = -1;
	int dir;

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (mount < 0)
		return -errno;
	dir = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : dir;
}

/*
 * Opens the instance of the daemon's own namespace, which is kept open; one of another namespace
 * would keep that namespace alive.
 */
static int open_own(void)
{
	static GMutex lock;
	static int own = -1;
	int dir;

	g_mutex_lock(&lock);
	if (own < 0)
		own = open_detached();
	/* A descriptor of its own: the position in the directory belongs to the open file. */
	dir = own < 0 ? own : openat(own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own >= 0 && dir < 0)
		dir = -errno;
	g_mutex_unlock(&lock);
	return dir;
}

static int open_mounted(const char *proc)
{
	g_autofree char *path = g_strdup_printf("%s/self/mountinfo", proc);
	g_autofree char *text = NULL, *place = NULL;
	int dir = file_text(path, &text);

	if (dir < 0)
		return dir;
	place = mqueue_find_mount(text);
	if (!place)
		return -ENOENT;
	dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : dir;
}

struct work {
	const struct realm *realm;
	int (*act)(const struct work *work, int dir); /* `dir` is closed afterwards */
	item_visitor visit;
	void *data;
	const char *id;
	struct item **out;
	const struct view *view;
	struct queue *details;
	const struct caller *caller;
};

static int with_root(void *data)
{
	const struct work *work = data;
	bool own = realm_is_own(work->realm);
	auto_fd dir = own ? open_own() : open_detached();

	if (dir < 0 && own && !is_failure(dir))
		dir = open_mounted(work->realm->proc);
	return dir < 0 ? dir : work->act(work, dir);
}

/* Opens the queue's file, if the caller may read it. */
static int open_queue(const struct view *view, int dir)
{
	struct stat st;
	int r;

	auto_fd place = openat(dir, view->item->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0 || fstat(place, &st) < 0)
		return -errno;
	if (st.st_ino != view->item->identity)
		return -ESTALE;
	r = caller_may_access(&view->caller, place, R_OK);
	if (r < 0)
		return r;
	return fd_reopen(place);
}

static int read_queue(const struct work *work, int dir)
{
	struct queue *queue = work->details;
	struct mqueue_text text;
	struct mq_attr attr;
	char buffer[128];
	ssize_t n;

	auto_fd fd = open_queue(work->view, dir);
	if (fd < 0)
		return fd;
	n = pread(fd, buffer, sizeof buffer - 1, 0);
	if (n < 0 || mq_getattr(fd, &attr) < 0)
		return -errno;
	buffer[n] = 0;
	if (!mqueue_parse(buffer, &text))
		return -EPROTO;
	queue->bytes = text.bytes;
	queue->notify_pid = text.notify_pid;
	queue->messages = attr.mq_curmsgs;
	queue->messages_max = attr.mq_maxmsg;
	queue->message_size = attr.mq_msgsize;
	return 0;
}

static int fill_queue(int dir, const char *name, struct queue *out)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*out = (struct queue){
		.item = {
			.kind = &kind_mqueue,
			.label = "mqueue",
			.identity = st.st_ino,
		},
		.dev = st.st_dev,
	};
	item_set_stat(&out->item, &st);
	g_strlcpy(out->item.id, name, sizeof out->item.id);
	g_strlcpy(out->item.name, name, sizeof out->item.name);
	return 0;
}

static bool is_queue_name(const char *id)
{
	return *id && !strchr(id, '/') && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

static int list_queues(const struct work *work, int dir)
{
	int copy = dup(dir);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	struct queue queue;
	int r = 0;

	if (!entries) {
		r = -errno;
		closep(&copy);
		return r;
	}
	for (errno = 0; r == 0 && (entry = readdir(entries)); errno = 0) {
		r = is_queue_name(entry->d_name) ? fill_queue(dir, entry->d_name, &queue) : -ENOENT;
		if (r == 0)
			work->visit(&queue.item, work->data);
		else if (!is_failure(r))
			r = 0; /* it is no queue, or not any more */
	}
	if (r == 0)
		r = -errno;
	closedir(entries);
	return r;
}

static int stat_queue(const struct work *work, int dir)
{
	struct queue queue;
	int r = fill_queue(dir, work->id, &queue);

	if (r < 0)
		return r;
	*work->out = g_memdup2(&queue, sizeof queue);
	return 0;
}

/* Whether no process has the queue open and no message waits in it. */
static int check_empty(int fd)
{
	struct mq_attr attr;

	if (mq_getattr(fd, &attr) < 0)
		return -errno;
	return attr.mq_curmsgs > 0 ? -EBUSY : 0;
}

/*
 * Whether no process has it open and it is empty: 1 or 0. By what the kernel counts on its file;
 * else by a lease (lease.h), which delays a process that opens the queue by some microseconds.
 */
static int prove_free(const struct work *work, int dir)
{
	struct object_now now;
	int counted, r;

	auto_fd place = openat(dir, work->id, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0)
		return -errno;
	counted = census_look(work->realm->census, place, true, &now);
	if (counted == -EAGAIN || (counted == 0 && now.references > 0))
		return 0;
	auto_fd fd = lease_open(dir, work->id);
	if (fd < 0)
		return fd == -EBUSY ? 0 : fd;
	r = counted == 0 ? 0 : lease_take(fd);
	if (r == 0)
		r = check_empty(fd);
	if (counted < 0)
		lease_drop(fd);
	if (r == 0)
		return 1;
	return r == -EBUSY ? 0 : r;
}

static int unlink_as(const struct caller *caller, int dir, const char *name)
{
	struct effective ids;
	int r = effective_begin(&ids, caller);

	if (r < 0)
		return r;
	r = unlinkat(dir, name, 0) < 0 ? -errno : 0;
	effective_end(&ids);
	return r;
}

/*
 * While the lease (lease.h) holds, no process has the queue open or can send to it. The file system
 * has no rename, so that a process that has already walked the path may still open it too late.
 */
static int unlink_leased(const struct work *work, int dir, int fd)
{
	int r = check_empty(fd);

	if (r == 0 && !lease_holds(fd))
		r = -EBUSY;
	if (r == 0)
		r = unlink_as(work->caller, dir, work->id);
	return r == 0 && !lease_holds(fd) ? 1 : r;
}

static int unlink_queue(const struct work *work, int dir)
{
	int r = lease_may_unlink(dir, work->id, work->caller);

	if (r < 0)
		return r;
	auto_fd fd = lease_open(dir, work->id);
	if (fd < 0)
		return fd;
	r = lease_take(fd);
	if (r == 0)
		r = unlink_leased(work, dir, fd);
	lease_drop(fd);
	return r;
}

static int mqueue_each(const struct realm *realm, item_visitor visit, void *data)
{
	struct work work = { .realm = realm, .act = list_queues, .visit = visit, .data = data };

	return sysvipc_enter(realm, with_root, &work);
}

static int mqueue_stat(const struct realm *realm, const char *id, struct item **out)
{
	struct work work = { .realm = realm, .act = stat_queue, .id = id, .out = out };

	return is_queue_name(id) ? sysvipc_enter(realm, with_root, &work) : -ENOENT;
}

static int mqueue_remove(const struct realm *realm, const char *id, const struct caller *caller)
{
	struct work work = { .realm = realm, .act = unlink_queue, .id = id, .caller = caller };

	return is_queue_name(id) ? sysvipc_enter(realm, with_root, &work) : -ENOENT;
}

static int mqueue_is_free(const struct realm *realm, const struct item *item)
{
	struct work work = { .realm = realm, .act = prove_free, .id = item->id };

	return sysvipc_enter(realm, with_root, &work);
}

static int read_details(const struct view *view, struct queue *out)
{
	struct work work = { .realm = view->realm,
		.act = read_queue,
		.view = view,
		.details = out };

	return sysvipc_enter(view->realm, with_root, &work);
}

static int show_count(const struct view *view, const struct attribute *self, GString *out)
{
	struct queue queue;
	int r = read_details(view, &queue);

	if (r == 0)
		g_string_append_printf(out, "%" PRIu64 "\n",
			*(const uint64_t *)((const char *)&queue + self->offset));
	return r;
}

static int show_notified(const struct view *view, const struct attribute *self, GString *out)
{
	struct queue queue;
	int r = read_details(view, &queue);

	(void)self;
	if (r == 0)
		g_string_append_printf(out, "%d\n", queue.notify_pid);
	return r;
}

static struct queue_file file_of(const struct view *view)
{
	const struct queue *queue = (const struct queue *)view->item;

	return (struct queue_file){ queue->dev, queue->item.identity, queue->item.name };
}

static int show_holders(const struct view *view, const struct attribute *self, GString *out)
{
	struct queue_file file = file_of(view);

	(void)self;
	return queue_holders_show(view, &file, out);
}

static int json_holders(const struct view *view, const struct attribute *self, struct json *json)
{
	struct queue_file file = file_of(view);

	return queue_holders_json(view, &file, self->name, json);
}

static const struct attribute attributes[] = {
	{ "perms", FORM_TEXT, 0, show_perms, offsetof(struct item, mode) },
	{ "uid", FORM_NUMBER, 0, show_u32, offsetof(struct item, uid) },
	{ "user", FORM_TEXT, 0, show_user, offsetof(struct item, uid), .slow = true },
	{ "gid", FORM_NUMBER, 0, show_u32, offsetof(struct item, gid) },
	{ "group", FORM_TEXT, 0, show_group, offsetof(struct item, gid), .slow = true },
	{ "msgs", FORM_NUMBER, 0, show_count, offsetof(struct queue, messages) },
	{ "maxmsg", FORM_NUMBER, 0, show_count, offsetof(struct queue, messages_max) },
	{ "msgsize", FORM_NUMBER, 0, show_count, offsetof(struct queue, message_size) },
	{ "usedbytes", FORM_NUMBER, 0, show_count, offsetof(struct queue, bytes) },
	{ "notify_pid", FORM_NUMBER, 0, show_notified },
	{ "holders", FORM_OTHER, 0, show_holders, .json = json_holders, .slow = true },
	{ NULL },
};

static const struct attribute *const tables[] = { attributes, plain_attributes, NULL };

static int do_nothing(const struct work *work, int dir)
{
	(void)work, (void)dir;
	return 0;
}

/* False if the queues cannot be reached: an empty directory would say that there are none. */
static bool mqueue_present(const struct realm *realm)
{
	struct work work = { .realm = realm, .act = do_nothing };

	int r = realm->ipc_ns != 0 ? sysvipc_enter(realm, with_root, &work) : -ENOENT;

	return r == 0 || is_failure(r);
}

const struct kind kind_mqueue = {
	.directory = "mqueue",
	.item_size = sizeof(struct queue),
	.attributes = tables,
	.present = mqueue_present,
	.each = mqueue_each,
	.stat = mqueue_stat,
	.permit = sysvipc_permit,
	.is_free = mqueue_is_free,
	.remove = mqueue_remove,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "posix-mq.h"

#include "attribute.h"
#include "sysvipc.h"
#include "util.h"

#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct queue {
	struct item item;
	uint64_t messages, messages_max, message_size; /* count, count, bytes */
	uint64_t bytes;
	pid_t notify_pid;
};

bool mqueue_parse(const char *text, struct mqueue_text *out)
{
	unsigned long long bytes;
	int notify, signal, pid;

	if (sscanf(text, "QSIZE:%llu NOTIFY:%d SIGNO:%d NOTIFY_PID:%d", &bytes, &notify, &signal,
		    &pid) != 4 || pid < 0)
		return false;
	*out = (struct mqueue_text){ bytes, pid };
	return true;
}

char *mqueue_find_mount(const char *mountinfo)
{
	g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = g_strsplit(*line, " ", -1);
		guint n = g_strv_length(words), i = 6;

		/* Optional fields stand between the sixth and a dash. */
		while (i < n && strcmp(words[i], "-") != 0)
			i++;
		if (i + 1 < n && strcmp(words[i + 1], "mqueue") == 0)
			return g_strcompress(words[4]);
	}
	return NULL;
}

/* An instance of our own, of the namespace that this thread is in. */
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

static int open_mounted(const char *proc)
{
	g_autofree char *path = g_strdup_printf("%s/self/mountinfo", proc);
	g_autofree char *text = NULL, *place = NULL;
	int dir;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return -ENOENT;
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
};

static int with_root(void *data)
{
	const struct work *work = data;
	auto_fd dir = open_detached();

	if (dir < 0 && realm_is_own(work->realm))
		dir = open_mounted(work->realm->proc);
	return dir < 0 ? dir : work->act(work, dir);
}

/* What one queue says of itself, as far as the daemon may read it. */
static void read_queue(int dir, const char *name, struct queue *queue)
{
	struct mqueue_text text;
	struct mq_attr attr;
	char buffer[128];
	ssize_t n;

	auto_fd fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	n = pread(fd, buffer, sizeof buffer - 1, 0);
	if (n < 0)
		return;
	buffer[n] = 0;
	if (!mqueue_parse(buffer, &text) || mq_getattr(fd, &attr) < 0)
		return;
	queue->bytes = text.bytes;
	queue->notify_pid = text.notify_pid;
	queue->messages = attr.mq_curmsgs;
	queue->messages_max = attr.mq_maxmsg;
	queue->message_size = attr.mq_msgsize;
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
			.stamp = st.st_ino,
			.mode = st.st_mode & 07777,
			.uid = st.st_uid,
			.gid = st.st_gid,
			.atime = st.st_atim,
			.mtime = st.st_mtim,
			.ctime = st.st_ctim,
		},
		.messages = BYTES_UNKNOWN,
		.messages_max = BYTES_UNKNOWN,
		.message_size = BYTES_UNKNOWN,
		.bytes = BYTES_UNKNOWN,
	};
	g_strlcpy(out->item.id, name, sizeof out->item.id);
	g_strlcpy(out->item.name, name, sizeof out->item.name);
	return 0;
}

static int list_queues(const struct work *work, int dir)
{
	int copy = dup(dir);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	struct queue queue;

	if (!entries)
		return -errno;
	while ((entry = readdir(entries)))
		if (entry->d_name[0] != '.' && fill_queue(dir, entry->d_name, &queue) == 0)
			work->visit(&queue.item, work->data);
	closedir(entries);
	return 0;
}

static int stat_queue(const struct work *work, int dir)
{
	struct queue queue;
	int r = fill_queue(dir, work->id, &queue);

	if (r < 0)
		return r;
	read_queue(dir, work->id, &queue);
	*work->out = g_memdup2(&queue, sizeof queue);
	return 0;
}

/* The thread wears the caller's fsuid, and the directory is sticky: mq_unlink(3)'s own check. */
static int unlink_queue(const struct work *work, int dir)
{
	return unlinkat(dir, work->id, 0) < 0 ? -errno : 0;
}

static bool is_queue_name(const char *id)
{
	return *id && *id != '.' && !strchr(id, '/');
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
	struct work work = { .realm = realm, .act = unlink_queue, .id = id };

	(void)caller;
	return is_queue_name(id) ? sysvipc_enter(realm, with_root, &work) : -ENOENT;
}

static const struct attribute attributes[] = {
	{ "perms", FORM_TEXT, 0, show_perms, offsetof(struct item, mode) },
	{ "uid", FORM_NUMBER, 0, show_u32, offsetof(struct item, uid) },
	{ "user", FORM_TEXT, 0, show_user, offsetof(struct item, uid), .slow = true },
	{ "gid", FORM_NUMBER, 0, show_u32, offsetof(struct item, gid) },
	{ "group", FORM_TEXT, 0, show_group, offsetof(struct item, gid), .slow = true },
	{ "msgs", FORM_NUMBER, 0, show_u64, offsetof(struct queue, messages) },
	{ "maxmsg", FORM_NUMBER, 0, show_u64, offsetof(struct queue, messages_max) },
	{ "msgsize", FORM_NUMBER, 0, show_u64, offsetof(struct queue, message_size) },
	{ "usedbytes", FORM_NUMBER, 0, show_u64, offsetof(struct queue, bytes) },
	{ "notify_pid", FORM_NUMBER, 0, show_pid, offsetof(struct queue, notify_pid) },
	{ NULL },
};

static const struct attribute *const tables[] = { attributes, plain_attributes, NULL };

static int do_nothing(const struct work *work, int dir)
{
	(void)work, (void)dir;
	return 0;
}

/* Not where there is no way to the queues: an empty directory would say that there are none. */
static bool mqueue_present(const struct realm *realm)
{
	struct work work = { .realm = realm, .act = do_nothing };

	return realm->ipc_ns != 0 && sysvipc_enter(realm, with_root, &work) == 0;
}

const struct kind kind_mqueue = {
	.directory = "mqueue",
	.item_size = sizeof(struct queue),
	.attributes = tables,
	.present = mqueue_present,
	.each = mqueue_each,
	.stat = mqueue_stat,
	.remove = mqueue_remove,
};

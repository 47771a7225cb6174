/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: records of fanotify, with file handles, and what the kernel says of these handles, to what makes
 * events of them. An input is a list of records and of what happens between them: names come, go and change
 * their size in the directory, records were lost, nothing happens for a moment. Whatever it is, an event has a
 * type, and a name where it is about one.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/changes
 *	build-fuzz/tests/fuzz/changes build-fuzz/corpus/changes
 */
#include "events/changes.h"
#include "events/handles.h"
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fanotify.h>
#include <sys/stat.h>

#define NAMES 6
#define INODES 8
#define RECORDS 4 /* handed over at once */

static struct {
	struct input input;
	uint64_t inodes[NAMES]; /* that have the names now; 0: none */
	uint64_t sizes[INODES];
	gint64 now;
} kernel;

static const char *const names[NAMES] = { "a", "b", "sem.c", ".shmtree", ".hidden-a",
	"a long name" };

static uint8_t byte(void)
{
	return input_byte(&kernel.input);
}

static uint64_t number(void)
{
	return input_number(&kernel.input);
}

/* What the kernel says of names and handles: mostly what is there */

static void describe(uint64_t inode, struct stat *out)
{
	*out = (struct stat){
		.st_mode = byte() < 240 ? S_IFREG : S_IFDIR,
		.st_ino = inode,
		.st_size = (off_t)(kernel.sizes[inode % INODES] & INT64_MAX),
		.st_nlink = byte() % 3,
	};
}

static uint64_t inode_of(const char *name)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return kernel.inodes[i];
	return 0;
}

/* In the place of these, whose prototypes have such names too: see meson.build. */
int fuzz_fstatat(int fd, const char *name, struct stat *out, int flags)
{
	uint64_t inode = inode_of(name);

	(void)fd, (void)flags;
	if (inode == 0) {
		errno = byte() < 240 ? ENOENT : ENOMEM;
		return -1;
	}
	describe(inode, out);
	return 0;
}

int fuzz_fstat(int fd, struct stat *out)
{
	(void)fd;
	describe(byte() % INODES, out);
	return 0;
}

/* The room is as large as the caller says; a kernel that says less than it wrote is not tried. */
int fuzz_name_to_handle_at(int fd, const char *name, struct file_handle *handle, int *mount,
	int flags)
{
	uint32_t words[] = { byte() % 4, inode_of(name), 0 };
	uint8_t how = byte();

	(void)fd, (void)flags;
	*mount = 0;
	if (how > 248) {
		errno = EOVERFLOW;
		return -1;
	}
	handle->handle_type = how > 240 ? 0x81 : 1;
	handle->handle_bytes = how > 232 ? number() % (handle->handle_bytes + 1) : sizeof words;
	memcpy(handle->f_handle, words, MIN(sizeof words, handle->handle_bytes));
	return 0;
}

int fuzz_open_by_handle_at(int fd, struct file_handle *handle, int flags)
{
	static const int errors[] = { ESTALE, ESTALE, EMFILE, EPERM };
	uint8_t how = byte();

	(void)fd, (void)flags;
	g_assert(handle->handle_bytes == TMPFS_HANDLE_BYTES);
	if (how < 160)
		return 1 << 20; /* no descriptor: closing it does nothing */
	errno = errors[how % G_N_ELEMENTS(errors)];
	return -1;
}

int fuzz_openat(int fd, const char *name, int flags, ...)
{
	(void)fd, (void)name, (void)flags;
	errno = EMFILE; /* the directory cannot be listed */
	return -1;
}

/* Of processes */

struct event_processes *event_processes_new(const char *proc)
{
	(void)proc;
	return NULL;
}

void event_processes_free(struct event_processes *processes)
{
	(void)processes;
}

void event_processes_find(struct event_processes *processes, pid_t pid, int pidfd,
	struct process_identity *out)
{
	(void)processes, (void)pidfd;
	*out = (struct process_identity){ .pid = pid, .born = byte() % 2, .uid = 0 };
}

/* Records */

static void add(GByteArray *to, const void *bytes, size_t n)
{
	g_byte_array_append(to, bytes, (guint)n);
}

static void add_handle(GByteArray *to, uint64_t inode)
{
	uint8_t how = byte();
	const uint32_t words[] = { how % 4, (uint32_t)inode, (uint32_t)(inode >> 32) };
	const uint32_t head[] = { how > 240 ? how % 16 : sizeof words, how > 232 ? how : 1 };
	const __kernel_fsid_t fsid = { { 0 } };
	uint8_t bytes[16] = { 0 };

	memcpy(bytes, words, sizeof words);
	add(to, &fsid, sizeof fsid);
	add(to, head, sizeof head);
	add(to, bytes, head[0]);
}

static void add_info(GByteArray *to, uint8_t type, uint64_t inode, const char *name)
{
	struct fanotify_event_info_header head = { .info_type = type };
	guint at = to->len;

	add(to, &head, sizeof head);
	add_handle(to, inode);
	if (name)
		add(to, name, strlen(name) + 1);
	head.len = to->len - at;
	memcpy(to->data + at, &head, sizeof head);
}

static void add_pidfd(GByteArray *to)
{
	const struct fanotify_event_info_header head = { FAN_EVENT_INFO_TYPE_PIDFD, 0, 12 };
	int32_t fd = byte() & 1 ? 1 << 20 : -1;

	add(to, &head, sizeof head);
	add(to, &fd, sizeof fd);
}

/* Of the directory of the objects, inode 1, or another one. */
static uint64_t directory(void)
{
	return byte() < 200 ? 1 : 2;
}

static void add_record(GByteArray *to)
{
	static const uint64_t masks[] = { FAN_CREATE, FAN_DELETE, FAN_MODIFY, FAN_OPEN,
		FAN_CLOSE_WRITE, FAN_CLOSE_NOWRITE, FAN_RENAME, FAN_CREATE | FAN_DELETE };
	static const pid_t pids[] = { 0, 999999, 1 };
	struct fanotify_event_metadata head = {
		.vers = FANOTIFY_METADATA_VERSION,
		.metadata_len = sizeof head,
		.mask = masks[byte() % G_N_ELEMENTS(masks)] | masks[byte() % 6],
		.fd = FAN_NOFD,
	};
	guint at = to->len;
	uint8_t who = byte();
	bool renames;

	head.pid = who & 128 ? getpid() : pids[who % 2];
	if (who % 64 == 63)
		head.mask = FAN_Q_OVERFLOW;
	renames = head.mask & FAN_RENAME;
	add(to, &head, sizeof head);
	if (byte() < 250)
		add_info(to, FAN_EVENT_INFO_TYPE_FID, byte() % INODES, NULL);
	if (byte() < 240)
		add_info(to,
			renames ? FAN_EVENT_INFO_TYPE_OLD_DFID_NAME : FAN_EVENT_INFO_TYPE_DFID_NAME,
			directory(), names[byte() % NAMES]);
	if (renames && byte() < 240)
		add_info(to, FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, directory(), names[byte() % NAMES]);
	add_pidfd(to);
	head.event_len = to->len - at;
	memcpy(to->data + at, &head, sizeof head);
}

static void see_event(const struct event *event, void *data)
{
	g_autoptr(GString) text = g_string_new(NULL);

	(void)data;
	g_assert(event_type_name(event->type));
	g_assert(event->type == EVENT_LOST || event->name);
	event_format(text, event, true);
	g_assert(text->len > 0 && text->str[text->len - 1] == '\n');
}

static void see_shrink(const struct shrink *shrink, void *data)
{
	(void)data;
	g_assert(shrink->process.pid == 0 || shrink->to < shrink->from);
}

static void happen(struct changes *changes, const struct fanotify_group *group)
{
	g_autoptr(GByteArray) records = g_byte_array_new();
	uint8_t what = byte();

	if (what < 64) {
		kernel.inodes[byte() % NAMES] = byte() % INODES;
	} else if (what < 96) {
		kernel.sizes[byte() % INODES] = number();
	} else if (what < 224) {
		for (unsigned n = 1 + what % RECORDS; n > 0; n--)
			add_record(records);
		changes_handle(changes, group, records->data, records->len);
	} else if (what < 240) {
		changes_drained(changes, kernel.now += 500000);
	} else {
		changes_settle(changes);
	}
	changes_unsettled(changes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fanotify_group group = { -1, { 0 } };
	struct changes_config config = {
		.directory = -1,
		.kind = "posix",
		.reserved = ".shmtree",
		.hidden_prefix = ".hidden-",
		.acts = event_acts_new(),
		.origins = origins_new(),
		.tell = see_event,
		.shrunk = see_shrink,
	};
	struct changes *changes;
	struct origin origin;

	kernel.input = (struct input){ data, data + size };
	memset(kernel.inodes, 0, sizeof kernel.inodes);
	kernel.now = g_get_monotonic_time();
	group.source[4] = 1; /* generation 0, inode 1 */
	changes = changes_new(&config);
	changes_begin(changes);
	while (input_left(&kernel.input))
		happen(changes, &group);
	for (uint64_t inode = 1; inode < INODES; inode++)
		origins_find(config.origins, inode, inode % 2, inode % 3, &origin);
	changes_free(changes);
	origins_free(config.origins);
	event_acts_free(config.acts);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/scan/process-rows.h"

#include "census/scan/kcmp-sharing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

void process_rows_init(struct process_rows *rows, const struct proc *proc,
	const struct devices *devices, struct spaces *spaces)
{
	auto_fd self = proc_open_pid(proc, proc_pid_here(proc, getpid()));

	*rows = (struct process_rows){
		.proc = proc,
		.devices = devices,
		.spaces = spaces,
		.mappings = g_array_new(FALSE, FALSE, sizeof(struct mapping)),
		.descriptors = g_array_new(FALSE, FALSE, sizeof(struct descriptor)),
		.can_compare = proc_is_own(proc) && kcmp_works(proc),
		.own_ipc = self < 0 ? 0 : proc_namespace(self, "ipc"),
	};
}

void process_rows_deinit(struct process_rows *rows)
{
	g_array_unref(rows->mappings);
	g_array_unref(rows->descriptors);
}

static void enter(struct process_rows *rows, int dir)
{
	rows->dir = dir;
	rows->ipc = -1;
	rows->error = 0;
}

/*
 * The IPC namespace of the process, looked up only for System V segments, which few processes have.
 * If it cannot be found out, the process counts as one that could not be read: its segment might be
 * taken for one of our own namespace.
 */
static uint32_t ipc_namespace(struct process_rows *rows)
{
	if (rows->ipc < 0) {
		uint32_t ns = proc_namespace(rows->dir, "ipc");

		if (!ns && rows->own_ipc)
			rows->error = -errno;
		rows->ipc = ns == rows->own_ipc ? 0 : ns;
	}
	return (uint32_t)rows->ipc;
}

static bool identify(struct process_rows *rows, struct file_seen *file, struct segment_key *key)
{
	if (file->name && segment_class_of_name(file->name) == SEGMENT_SYSV &&
		devices_role(rows->devices, file->dev) == DEVICE_INTERNAL)
		file->ipc_ns = ipc_namespace(rows);
	return devices_identify(rows->devices, file, key);
}

static enum vma_interest look(const struct vma *vma, void *data)
{
	const struct process_rows *rows = data;

	switch (devices_role(rows->devices, vma->dev)) {
	case DEVICE_INTERNAL:
		return VMA_NAMED; /* the name tells the class */
	case DEVICE_SHM:
	case DEVICE_MOUNT:
	case DEVICE_OTHER_MOUNT:
		return VMA_PLAIN;
	case DEVICE_NONE:
		break;
	}
	return VMA_SKIP;
}

/*
 * While a process changes its mappings a row may overlap the one before: where it begins no later,
 * it is the same memory as it is now.
 */
static void drop_overlapped(GArray *mappings, uint64_t start)
{
	while (mappings->len &&
		g_array_index(mappings, struct mapping, mappings->len - 1).start >= start)
		g_array_set_size(mappings, mappings->len - 1);
}

static void add_mapping(struct vma *vma, void *data)
{
	struct process_rows *rows = data;
	struct file_seen file = {
		.dev = vma->dev,
		.ino = vma->ino,
		.name = vma->name,
		.private = vma->perms[3] == 'p',
	};
	struct segment_key key;
	struct mapping row = { .start = vma->start, .end = vma->end, .offset = vma->offset };

	if (!identify(rows, &file, &key))
		return;
	drop_overlapped(rows->mappings, vma->start);
	row.segment = spaces_segment(rows->spaces, &key);
	memcpy(row.perms, vma->perms, sizeof(vma->perms));
	g_array_append_val(rows->mappings, row);
}

/* In the directory of a process that is gone, every lookup is -ENOENT. */
static int gone(int error)
{
	return error == -ENOENT ? -ESRCH : error;
}

int process_rows_read_mappings(struct process_rows *rows, int dir,
	int (*read_maps)(int fd, const struct maps_sink *sink))
{
	struct maps_sink sink = { .look = look, .row = add_mapping, .data = rows };
	auto_fd fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	int error;

	g_array_set_size(rows->mappings, 0);
	if (fd < 0)
		return gone(-errno);
	enter(rows, dir);
	error = read_maps(fd, &sink);
	return error ? error : gone(rows->error);
}

/* The mode of the open file description, or a negative errno. */
static int descriptor_flags(int dir, int number)
{
	char path[32], text[4096];
	const char *line;
	ssize_t n;

	snprintf(path, sizeof(path), "fdinfo/%d", number);
	n = proc_read_file(dir, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	line = strstr(text, "flags:");
	if (!line)
		return -EPROTO;
	return strtoul(line + strlen("flags:"), NULL, 8) & (O_ACCMODE | O_PATH);
}

/*
 * Finds out which segment a descriptor refers to; `*segment` is false if it is none. statx() is
 * asked for no attribute and no synchronisation, so that the kernel asks no file server, which may
 * hang: it has the device, inode number and type itself. A file on which statx() fails with an
 * error that files in memory do not have is no segment.
 */
static int identify_descriptor(struct process_rows *rows, int fds, const char *number,
	bool *segment, struct file_seen *file, struct segment_key *key, char shown[PATH_MAX])
{
	struct statx stx;
	ssize_t n;

	*segment = false;
	if (statx(fds, number, AT_STATX_DONT_SYNC, 0, &stx) < 0)
		return errno == EACCES || errno == EPERM || errno == ENOMEM ? -errno : 0;
	file->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	file->ino = stx.stx_ino;
	if (!S_ISREG(stx.stx_mode) || devices_role(rows->devices, file->dev) == DEVICE_NONE)
		return 0;
	n = readlinkat(fds, number, shown, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	shown[n] = '\0';
	file->name = shown;
	*segment = identify(rows, file, key);
	return 0;
}

static int add_descriptor(struct process_rows *rows, int fds, int number)
{
	char text[16], shown[PATH_MAX];
	struct descriptor row = { .fd = number };
	struct file_seen file = { 0 };
	struct segment_key key;
	bool segment;
	int error;

	snprintf(text, sizeof(text), "%d", number);
	error = identify_descriptor(rows, fds, text, &segment, &file, &key, shown);
	if (error || !segment)
		return error;
	row.flags = descriptor_flags(rows->dir, number);
	if (row.flags < 0)
		return row.flags;
	row.segment = spaces_segment(rows->spaces, &key);
	g_array_append_val(rows->descriptors, row);
	return 0;
}

static int add_descriptors(struct process_rows *rows, int dir)
{
	g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(int));
	int error = proc_list_descriptors(dir, numbers);
	auto_fd fds = openat(dir, "fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (error || fds < 0)
		return gone(error ? error : -errno);
	enter(rows, dir);
	for (guint i = 0; i < numbers->len && !error; i++) {
		error = add_descriptor(rows, fds, g_array_index(numbers, int, i));
		/* It was closed meanwhile. If the process is gone, reading its mappings tells. */
		if (error == -ENOENT || error == -ESRCH)
			error = 0;
	}
	return error ? error : gone(rows->error);
}

int process_rows_read_descriptors(struct process_rows *rows, int dir)
{
	g_array_set_size(rows->descriptors, 0);
	return add_descriptors(rows, dir);
}

static int add_unshared(int thread, void *data)
{
	return add_descriptors(data, thread);
}

int process_rows_read_unshared_descriptors(struct process_rows *rows, int dir, pid_t task)
{
	if (!rows->can_compare)
		return 0;
	return gone(kcmp_each_table(dir, task, add_unshared, rows));
}

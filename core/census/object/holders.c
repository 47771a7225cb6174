/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/holders.h"

#include "base/util.h"
#include "bpf/loading.h"
#include "census/object/holder-records.h"
#include "census/object/holder-rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "holders.lskel.h" /* it needs those above */

#include <bpf/bpf.h>

#define RECORDS_MAX 512
/*
 * Records of all sockets and rings at most: a process that has one socket open a million times must
 * not fill the memory.
 */
#define ALL_RECORDS_MAX (1 << 20)
/* How many messages and places of rings one list looks at: it takes a good second. */
#define STEPS_MAX (32 << 20)

struct holders {
	GMutex lock; /* protects the iterators */
	struct holders_bpf *skeleton;
};

static void unload(void *data)
{
	struct holders *holders = data;

	g_clear_pointer(&holders->skeleton, holders_bpf__destroy);
}

static int load(void *data)
{
	struct holders *holders = data;
	int r;

	holders->skeleton = holders_bpf__open();
	if (!holders->skeleton)
		return -ENOMEM;
	r = holders_bpf__load(holders->skeleton);
	if (r == 0)
		r = holders_bpf__list_of_processes__attach(holders->skeleton);
	if (r >= 0)
		r = holders_bpf__list_of_sockets__attach(holders->skeleton);
	if (r >= 0)
		r = holders_bpf__list_of_threads__attach(holders->skeleton);
	if (r >= 0)
		r = holders_bpf__list_of_namespaces__attach(holders->skeleton);
	return MIN(r, 0);
}

int holders_open(struct holders **out)
{
	struct holders *holders = g_new0(struct holders, 1);
	int r;

	g_mutex_init(&holders->lock);
	r = program_load(load, unload, holders);
	if (r < 0) {
		holders_free(holders);
		return r;
	}
	*out = holders;
	return 0;
}

void holders_free(struct holders *holders)
{
	if (!holders)
		return;
	unload(holders);
	g_mutex_clear(&holders->lock);
	g_free(holders);
}

static int read_records(int link, GArray *out)
{
	auto_fd fd = bpf_iter_create(link);
	g_autofree struct seen_holder *buffer = NULL;
	ssize_t got;

	if (fd < 0)
		return -errno;
	/* A read gives whole records as long as the kernel's buffer, of 32 KiB, fits into ours. */
	buffer = g_new(struct seen_holder, RECORDS_MAX);
	for (;;) {
		got = read(fd, buffer, RECORDS_MAX * sizeof *buffer);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue; /* EAGAIN: after a million descriptors without a record */
		if (got <= 0)
			return got < 0 ? -errno : 0;
		g_array_append_vals(out, buffer, got / sizeof *buffer);
		if (out->len > ALL_RECORDS_MAX)
			return 0; /* `hidden` tells how many there are besides */
	}
}

int holders_list(struct holders *holders, GArray *out)
{
	g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(struct seen_holder));
	int r;

	g_mutex_lock(&holders->lock);
	holders->skeleton->bss->steps_left = STEPS_MAX;
	r = read_records(holders->skeleton->links.list_of_processes_fd, records);
	if (r == 0)
		r = read_records(holders->skeleton->links.list_of_sockets_fd, records);
	if (r == 0)
		r = read_records(holders->skeleton->links.list_of_threads_fd, records);
	g_mutex_unlock(&holders->lock);
	if (r < 0)
		return r;
	holder_rows(records, out);
	return 0;
}

int holders_each_namespace(struct holders *holders, void (*visit)(pid_t task, int fd, void *data),
	void *data)
{
	g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(struct seen_holder));
	int r;

	g_mutex_lock(&holders->lock);
	r = read_records(holders->skeleton->links.list_of_namespaces_fd, records);
	g_mutex_unlock(&holders->lock);
	for (guint i = 0; r == 0 && i < records->len; i++) {
		const struct seen_holder *record = &g_array_index(records, struct seen_holder, i);

		if (record->pid != getpid())
			visit(record->task, record->fd, data);
	}
	return r;
}

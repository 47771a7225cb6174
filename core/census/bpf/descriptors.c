/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads all descriptor tables with BPF. */
#include "census/bpf/context.h"

#include <fcntl.h>
#include <string.h>

/* A descriptor on its way into the table. */
struct found {
	pid_t pid;
	pid_t task;
	uint64_t start_time;
	uint64_t table; /* 0: its thread turned out not to stand for the descriptor table */
	uid_t uid;
	char command[COMMAND_SIZE];
	struct descriptor row;
};

GArray *bpf_found_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct found));
}

static struct found *found_at(const struct bpf_census *census, guint i)
{
	return &g_array_index(census->found, struct found, i);
}

/*
 * Of threads that share a table, one represents it: that of the eldest process, as with mappings.
 */
static bool is_elder(const struct found *a, const struct found *b)
{
	if (a->start_time != b->start_time)
		return a->start_time < b->start_time;
	return a->pid != b->pid ? a->pid < b->pid : a->task < b->task;
}

static void find_descriptor(const struct seen_descriptor *seen, void *data)
{
	struct bpf_census *census = data;
	gpointer table = (gpointer)(uintptr_t)seen->table;
	struct found found = {
		.pid = seen->pid,
		.task = seen->task,
		.start_time = seen->start_time,
		.table = seen->table,
		.uid = seen->uid,
		.row = {
			.fd = seen->fd,
			.flags = seen->flags & (O_ACCMODE | O_PATH),
			.file = seen->file.file,
		},
	};
	guint owner;

	found.row.segment = bpf_segment_of(census, &seen->file, false);
	if (found.row.segment == NULL)
		return;
	memcpy(found.command, seen->command, sizeof found.command);
	owner = GPOINTER_TO_UINT(g_hash_table_lookup(census->tables, table));
	g_array_append_val(census->found, found);
	if (owner == 0 || is_elder(&found, found_at(census, owner - 1)))
		g_hash_table_insert(census->tables, table, GUINT_TO_POINTER(census->found->len));
}

/* Descriptors count only for the thread that represents the table. */
static void drop_shared(struct bpf_census *census)
{
	for (guint i = 0; i < census->found->len; i++) {
		struct found *found = found_at(census, i);
		gpointer table = (gpointer)(uintptr_t)found->table;
		guint owner = GPOINTER_TO_UINT(g_hash_table_lookup(census->tables, table));

		if (found->task != found_at(census, owner - 1)->task)
			found->table = 0;
	}
}

/* Threads with tables of their own may come between the threads of other processes. */
static int by_process(gconstpointer a, gconstpointer b)
{
	const struct found *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->start_time != y->start_time)
		return x->start_time < y->start_time ? -1 : 1;
	return (x->row.fd > y->row.fd) - (x->row.fd < y->row.fd);
}

static void drop_closed(struct space *space, void *data)
{
	const struct vanishing *vanishing = data;
	struct bpf_census *census = vanishing->census;

	if (space->backend_data[BPF_DATA_FILES_ROUND] == census->round)
		return;
	vanishing->round->changed |= space_set_descriptors(census->spaces, space, NULL, 0);
	if (space->backend_data[BPF_DATA_ROUND] == 0)
		space_unsee(space);
}

int bpf_update_descriptors(struct bpf_census *census, struct round *round)
{
	g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct descriptor));
	struct vanishing vanishing = { census, round };
	const struct found *found;
	int err;

	g_array_set_size(census->found, 0);
	g_hash_table_remove_all(census->tables);
	err = programs_descriptors(census->programs, find_descriptor, census);
	if (err != 0)
		return err;
	drop_shared(census);
	g_array_sort(census->found, by_process);
	found = (const void *)census->found->data;
	for (guint i = 0, end; i < census->found->len; i = end) {
		struct space *space = spaces_see(census->spaces, found[i].pid, found[i].start_time);

		g_array_set_size(rows, 0);
		for (end = i; end < census->found->len && found[end].pid == found[i].pid &&
			found[end].start_time == found[i].start_time;
			end++)
			if (found[end].table != 0)
				g_array_append_val(rows, found[end].row);
		space_describe(space, found[i].uid, found[i].command);
		space->backend_data[BPF_DATA_FILES_ROUND] = census->round;
		round->changed |=
			space_set_descriptors(census->spaces, space, (void *)rows->data, rows->len);
	}
	spaces_each(census->spaces, drop_closed, &vanishing);
	return 0;
}

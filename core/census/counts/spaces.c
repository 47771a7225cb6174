/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/counts/spaces-private.h"

#include <string.h>

static void segment_free(void *data)
{
	struct segment *segment = data;

	if (segment->last.unit)
		g_ref_string_release(segment->last.unit);
	g_free(segment);
}

static void free_rows(struct space *space)
{
	packed_mappings_clear(&space->mappings);
	g_free(space->descriptors);
	if (space->unit)
		g_ref_string_release(space->unit);
}

static void space_free(void *data)
{
	free_rows(data);
	g_free(data);
}

struct spaces *spaces_new(void)
{
	struct spaces *spaces = g_new0(struct spaces, 1);

	spaces->by_pid = g_hash_table_new_full(NULL, NULL, NULL, space_free);
	spaces->order = g_ptr_array_new();
	spaces->segments =
		g_hash_table_new_full(segment_key_hash, segment_key_equal, NULL, segment_free);
	spaces->unreferenced = g_ptr_array_new();
	spaces->servers = g_ptr_array_new();
	spaces->unreadable = g_array_new(FALSE, FALSE, sizeof(struct unreadable));
	spaces->gone = g_ptr_array_new_with_free_func(segment_free);
	g_mutex_init(&spaces->lock);
	return spaces;
}

void spaces_free(struct spaces *spaces)
{
	if (!spaces)
		return;
	spaces_drop_index(spaces);
	g_array_unref(spaces->unreadable);
	g_hash_table_unref(spaces->by_pid);
	g_ptr_array_unref(spaces->order);
	g_hash_table_unref(spaces->segments);
	g_ptr_array_unref(spaces->unreferenced);
	g_ptr_array_unref(spaces->servers);
	g_ptr_array_unref(spaces->gone);
	g_mutex_clear(&spaces->lock);
	g_free(spaces);
}

void spaces_begin(struct spaces *spaces)
{
	spaces->pass++;
	spaces_forget_unreadable(spaces);
}

void spaces_note_unreadable(struct spaces *spaces, pid_t pid, const char *why)
{
	struct unreadable process = { pid, why };

	g_array_append_val(spaces->unreadable, process);
}

void spaces_forget_unreadable(struct spaces *spaces)
{
	g_array_set_size(spaces->unreadable, 0);
}

const GArray *spaces_unreadable(const struct spaces *spaces)
{
	return spaces->unreadable;
}

static int by_unreadable_pid(gconstpointer a, gconstpointer b)
{
	const struct unreadable *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int by_pid(gconstpointer a, gconstpointer b)
{
	const struct space *x = *(const struct space *const *)a;
	const struct space *y = *(const struct space *const *)b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void drop_unseen(struct spaces *spaces)
{
	guint kept = 0;

	for (guint i = 0; i < spaces->order->len; i++) {
		struct space *space = spaces->order->pdata[i];

		if (space->seen == spaces->pass) {
			spaces->order->pdata[kept++] = space;
			continue;
		}
		space_empty(spaces, space);
		g_hash_table_remove(spaces->by_pid, GINT_TO_POINTER(space->pid));
	}
	/* It tells spaces by where they are in the order. */
	if (spaces->grown || kept < spaces->order->len)
		spaces_drop_index(spaces);
	g_ptr_array_set_size(spaces->order, kept);
}

void spaces_end(struct spaces *spaces)
{
	drop_unseen(spaces);
	if (spaces->grown)
		g_ptr_array_sort(spaces->order, by_pid);
	spaces->grown = false;

	for (guint i = 0; i < spaces->unreferenced->len; i++) {
		struct segment *segment = spaces->unreferenced->pdata[i];

		segment->unreferenced = false;
		if (segment->rows == 0 && segment->used) {
			g_hash_table_steal(spaces->segments, &segment->key);
			g_ptr_array_add(spaces->gone, segment);
		} else if (segment->rows == 0) {
			g_hash_table_remove(spaces->segments, &segment->key);
		}
	}
	g_ptr_array_set_size(spaces->unreferenced, 0);
	g_array_sort(spaces->unreadable, by_unreadable_pid);
}

void spaces_take_gone(struct spaces *spaces,
	void (*visit)(const struct segment_key *key, const struct past_user *user, bool mapped,
		void *data),
	void *data)
{
	for (guint i = 0; i < spaces->gone->len; i++) {
		const struct segment *segment = spaces->gone->pdata[i];

		visit(&segment->key, &segment->last, segment->last_mapped, data);
	}
	g_ptr_array_set_size(spaces->gone, 0);
}

struct segment *spaces_segment(struct spaces *spaces, const struct segment_key *key)
{
	struct segment *segment = g_hash_table_lookup(spaces->segments, key);

	if (!segment) {
		segment = g_new0(struct segment, 1);
		segment->key = *key;
		g_hash_table_insert(spaces->segments, &segment->key, segment);
		segment_note_unreferenced(spaces, segment);
	}
	return segment;
}

struct space *spaces_lookup(struct spaces *spaces, pid_t pid)
{
	return g_hash_table_lookup(spaces->by_pid, GINT_TO_POINTER(pid));
}

struct space *spaces_see(struct spaces *spaces, pid_t pid, uint64_t start_time)
{
	struct space *space = spaces_lookup(spaces, pid);

	if (!space) {
		space = g_new0(struct space, 1);
		space->pid = space->task = pid;
		space->start_time = start_time;
		g_hash_table_insert(spaces->by_pid, GINT_TO_POINTER(pid), space);
		g_ptr_array_add(spaces->order, space);
		spaces->grown = true;
	} else if (space->start_time != start_time) {
		space_empty(spaces, space);
		free_rows(space);
		*space = (struct space){ .pid = pid, .task = pid, .start_time = start_time };
	}
	space->seen = spaces->pass;
	return space;
}

void spaces_see_all(struct spaces *spaces)
{
	for (guint i = 0; i < spaces->order->len; i++) {
		struct space *space = spaces->order->pdata[i];

		space->seen = spaces->pass;
	}
}

void space_unsee(struct space *space)
{
	space->seen = 0;
}

void space_describe(struct space *space, uid_t uid, const char *command)
{
	space->uid = uid;
	g_strlcpy(space->command, command, sizeof(space->command));
}

void spaces_each(struct spaces *spaces, void (*visit)(struct space *space, void *data), void *data)
{
	for (guint i = 0; i < spaces->order->len; i++) {
		struct space *space = spaces->order->pdata[i];

		if (space->seen == spaces->pass)
			visit(space, data);
	}
}

const struct segment *spaces_find(const struct spaces *spaces, const struct segment_key *key)
{
	return g_hash_table_lookup(spaces->segments, key);
}

void spaces_each_segment(const struct spaces *spaces,
	void (*visit)(const struct segment *segment, void *data), void *data)
{
	GHashTableIter iter;
	void *segment;

	g_hash_table_iter_init(&iter, spaces->segments);
	while (g_hash_table_iter_next(&iter, NULL, &segment))
		visit(segment, data);
}

void spaces_each_server(const struct spaces *spaces,
	void (*visit)(const struct space *space, void *data), void *data)
{
	for (guint i = 0; i < spaces->servers->len; i++)
		visit(spaces->servers->pdata[i], data);
}

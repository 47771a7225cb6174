/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/holder-rows.h"

#include "census/object/holder-records.h"

#include <stdbool.h>
#include <string.h>

/*
 * How many sockets the search follows for one that no process has: that is in the queue of a
 * socket, which may be in a queue as well.
 */
#define WAY_MAX 64

/* The records of all lists, and what is needed to put them together. */
struct finding {
	const GArray *records; /* of struct seen_holder */
	GHashTable *ways;      /* socket's address: GArray of the indices of records that hold it */
	GHashTable *owned;     /* addresses of the sockets and rings that some process has open */
	GArray *out;           /* of struct holder */
};

static const struct seen_holder *record_at(const struct finding *finding, guint at)
{
	return &g_array_index(finding->records, struct seen_holder, at);
}

static void free_way(gpointer way)
{
	g_array_unref(way);
}

static void note_record(struct finding *finding, guint at)
{
	const struct seen_holder *record = record_at(finding, at);
	gpointer socket = (gpointer)(uintptr_t)record->socket;
	GArray *way;

	if (record->pid && record->queue)
		g_hash_table_add(finding->owned, (gpointer)(uintptr_t)record->queue);
	if (record->ring && record->fd >= 0)
		g_hash_table_add(finding->owned, (gpointer)(uintptr_t)record->ring);
	if (!socket)
		return;
	way = g_hash_table_lookup(finding->ways, socket);
	if (!way) {
		way = g_array_new(FALSE, FALSE, sizeof(guint));
		g_hash_table_insert(finding->ways, socket, way);
	}
	g_array_append_val(way, at);
}

/* Appends a holder: the file of the record `held`, and the process of the record `owner`. */
static void add_holder(struct finding *finding, const struct seen_holder *held,
	const struct seen_holder *owner)
{
	struct holder holder = {
		.file = held->file,
		.inode = held->inode,
		.number = held->queue ? held->queue_ino :
			held->fd < 0  ? HOLDER_NO_NUMBER :
					(uint64_t)held->fd,
		.type = held->queue ? HOLDER_SOCKET : HOLDER_RING,
		.pid = owner->pid,
		.task = owner->task,
		.uid = owner->uid,
		.flags = held->flags,
	};

	memcpy(holder.command, owner->command, sizeof holder.command);
	g_array_append_val(finding->out, holder);
}

/*
 * Goes one step from a socket to those in whose queues it is: a process that has one of these open
 * is added as holder; one that no process has is appended to `way`. Returns whether a process was
 * added.
 */
static bool go_on(struct finding *finding, const struct seen_holder *held, uint64_t socket,
	GArray *way)
{
	const GArray *holding = g_hash_table_lookup(finding->ways, (gpointer)(uintptr_t)socket);
	bool found = false;

	for (guint i = 0; holding && i < holding->len; i++) {
		const struct seen_holder *record =
			record_at(finding, g_array_index(holding, guint, i));

		if (record->pid) {
			add_holder(finding, held, record);
			found = true;
		} else if (way->len < WAY_MAX) {
			g_array_append_val(way, record->queue);
		}
	}
	return found;
}

/*
 * Adds a file in the queue of a socket that no process has: with the processes that can receive the
 * socket, or without a process if there is none.
 */
static void add_unowned(struct finding *finding, const struct seen_holder *held)
{
	g_autoptr(GArray) way = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	bool found = false;

	g_array_append_val(way, held->queue);
	for (guint i = 0; i < way->len; i++)
		found |= go_on(finding, held, g_array_index(way, uint64_t, i), way);
	if (!found)
		add_holder(finding, held, held);
}

/* Of a ring that has descriptors, the processes that have it open are named, not its threads. */
static bool is_named_otherwise(const struct finding *finding, const struct seen_holder *record)
{
	return record->ring && record->fd < 0 &&
		g_hash_table_contains(finding->owned, (gpointer)(uintptr_t)record->ring);
}

static void put_together(struct finding *finding)
{
	for (guint i = 0; i < finding->records->len; i++)
		note_record(finding, i);
	for (guint i = 0; i < finding->records->len; i++) {
		const struct seen_holder *record = record_at(finding, i);

		if (record->socket || is_named_otherwise(finding, record))
			continue;
		if (record->pid)
			add_holder(finding, record, record);
		else if (!g_hash_table_contains(finding->owned, (gpointer)(uintptr_t)record->queue))
			add_unowned(finding, record);
	}
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_place(gconstpointer a, gconstpointer b)
{
	const struct holder *x = a, *y = b;
	int r = order(x->inode, y->inode);

	if (r == 0)
		r = order(x->type, y->type);
	if (r == 0)
		r = order(x->number, y->number);
	if (r == 0)
		r = order(x->pid, y->pid);
	return r == 0 ? order(x->file, y->file) : r;
}

static void drop_repeated(GArray *array)
{
	struct holder *at = (struct holder *)array->data;
	guint kept = 0;

	g_array_sort(array, by_place);
	for (guint i = 0; i < array->len; i++)
		if (kept == 0 || by_place(&at[kept - 1], &at[i]) != 0)
			at[kept++] = at[i];
	g_array_set_size(array, kept);
}

void holder_rows(const GArray *records, GArray *out)
{
	g_autoptr(GHashTable) ways = g_hash_table_new_full(NULL, NULL, NULL, free_way);
	g_autoptr(GHashTable) owned = g_hash_table_new(NULL, NULL);
	struct finding finding = { records, ways, owned, out };

	put_together(&finding);
	drop_repeated(out);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/counts/spaces.h"

#include <string.h>

enum kind { MAPPINGS, DESCRIPTORS, KINDS };

/* The position of a row of a segment: the index of its space, and where it is there. */
struct place {
	guint32 space;
	guint32 at;
};

struct spaces {
	GHashTable *by_pid;      /* pid: struct space, which it owns */
	GPtrArray *order;        /* the same, in ascending order of pid between passes */
	GHashTable *segments;    /* their key: struct segment, which it owns */
	GPtrArray *unreferenced; /* segments that may be left without a row */
	GPtrArray *servers;      /* the spaces that serve */
	GArray *unreadable;      /* of struct unreadable */
	GPtrArray *gone;         /* segments that have been, with their last users; owned */
	uint64_t pass;
	uint64_t counting; /* how many sets of rows have been added or subtracted so far */
	bool grown;        /* `order` may be out of order */

	/* Made on demand by threads that read between passes; under the lock. */
	GMutex lock;
	struct {
		bool asked;     /* a caller has been answered without the index */
		GArray *places; /* struct place, grouped by segment; NULL: not made */
	} index[KINDS];
};

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

static void drop_index(struct spaces *spaces)
{
	for (int kind = 0; kind < KINDS; kind++) {
		g_clear_pointer(&spaces->index[kind].places, g_array_unref);
		spaces->index[kind].asked = false;
	}
}

void spaces_free(struct spaces *spaces)
{
	if (!spaces)
		return;
	drop_index(spaces);
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

static size_t space_rows(const struct space *space, enum kind kind)
{
	return kind == MAPPINGS ? space->n_mappings : space->n_descriptors;
}

/* Whether the sums leave the rows out. */
static bool is_left_out(const struct space *space, enum kind kind)
{
	return kind == MAPPINGS ? space->shares_mappings :
				  space->shares_descriptors || space->serves;
}

/* A walk through the rows of a space; all zero before the first. */
struct walk {
	size_t row, at, next; /* the rows so far; where this one is, and the next */
};

/* The segment of the next row; NULL at the end. */
static struct segment *next_row(const struct space *space, enum kind kind, struct walk *walk)
{
	if (walk->row == space_rows(space, kind))
		return NULL;
	walk->row++;
	walk->at = walk->next;
	if (kind == MAPPINGS)
		return packed_mappings_segment(&space->mappings, &walk->next);
	return space->descriptors[walk->next++].segment;
}

/*
 * Adds the space's rows to the sums (sign 1) or subtracts them (-1), unless these leave them out.
 */
static void count(struct spaces *spaces, struct space *space, enum kind kind, int sign)
{
	struct walk walk = { 0 };
	struct segment *segment;

	drop_index(spaces);
	if (is_left_out(space, kind))
		return;
	spaces->counting++;
	while ((segment = next_row(space, kind, &walk))) {
		if (kind == DESCRIPTORS) {
			segment->usage.openers += sign;
			continue;
		}
		segment->usage.mappings += sign;
		if (segment->counting != spaces->counting) {
			segment->counting = spaces->counting;
			segment->usage.processes += sign;
		}
	}
}

static void note_unreferenced(struct spaces *spaces, struct segment *segment)
{
	if (segment->rows == 0 && !segment->unreferenced) {
		segment->unreferenced = true;
		g_ptr_array_add(spaces->unreferenced, segment);
	}
}

/* The process whose row was the last one is the last user, as far as is known. */
static void note_last_user(struct segment *segment, const struct space *space, enum kind kind)
{
	if (segment->last.unit)
		g_ref_string_release(segment->last.unit);
	segment->last = (struct past_user){
		.pid = space->pid,
		.born = space->born,
		.uid = space->uid,
		.readable = space->readable,
		.unit = space->unit ? g_ref_string_acquire(space->unit) : NULL,
	};
	memcpy(segment->last.command, space->command, sizeof segment->last.command);
	segment->last_mapped = kind == MAPPINGS;
	segment->used = true;
}

static void count_refs(struct spaces *spaces, struct space *space, enum kind kind, int sign)
{
	struct walk walk = { 0 };
	struct segment *segment;

	while ((segment = next_row(space, kind, &walk))) {
		segment->rows += sign;
		if (segment->rows == 0)
			note_last_user(segment, space, kind);
		note_unreferenced(spaces, segment);
	}
}

bool space_set_mappings(struct spaces *spaces, struct space *space, const struct mapping *rows,
	size_t n)
{
	struct packed_mappings mappings = packed_mappings_make(rows, n);

	if (n == space->n_mappings && packed_mappings_equal(&mappings, &space->mappings)) {
		packed_mappings_clear(&mappings);
		return false;
	}
	count(spaces, space, MAPPINGS, -1);
	count_refs(spaces, space, MAPPINGS, -1);
	packed_mappings_clear(&space->mappings);
	space->mappings = mappings;
	space->n_mappings = n;
	count_refs(spaces, space, MAPPINGS, 1);
	count(spaces, space, MAPPINGS, 1);
	return true;
}

bool space_set_descriptors(struct spaces *spaces, struct space *space,
	const struct descriptor *rows, size_t n)
{
	if (n == space->n_descriptors &&
		(!n || !memcmp(rows, space->descriptors, n * sizeof(*rows))))
		return false;
	count(spaces, space, DESCRIPTORS, -1);
	count_refs(spaces, space, DESCRIPTORS, -1);
	space->descriptors = g_renew(struct descriptor, space->descriptors, n);
	if (n)
		memcpy(space->descriptors, rows, n * sizeof(*rows));
	space->n_descriptors = n;
	count_refs(spaces, space, DESCRIPTORS, 1);
	count(spaces, space, DESCRIPTORS, 1);
	return true;
}

void space_share_mappings(struct spaces *spaces, struct space *space, bool shares)
{
	if (space->shares_mappings == shares)
		return;
	count(spaces, space, MAPPINGS, -1);
	space->shares_mappings = shares;
	count(spaces, space, MAPPINGS, 1);
}

void space_share_descriptors(struct spaces *spaces, struct space *space, bool shares)
{
	if (space->shares_descriptors == shares)
		return;
	count(spaces, space, DESCRIPTORS, -1);
	space->shares_descriptors = shares;
	count(spaces, space, DESCRIPTORS, 1);
}

void space_serve(struct spaces *spaces, struct space *space)
{
	if (space->serves)
		return;
	count(spaces, space, DESCRIPTORS, -1);
	space->serves = true;
	g_ptr_array_add(spaces->servers, space);
}

static void serve_no_more(struct spaces *spaces, struct space *space)
{
	if (g_ptr_array_remove_fast(spaces->servers, space)) {
		space->serves = false;
		count(spaces, space, DESCRIPTORS, 1);
	}
}

void spaces_serve_none(struct spaces *spaces)
{
	while (spaces->servers->len)
		serve_no_more(spaces, spaces->servers->pdata[0]);
}

/* Takes the space out of the table; its owner frees it. */
static void empty(struct spaces *spaces, struct space *space)
{
	space_set_mappings(spaces, space, NULL, 0);
	space_set_descriptors(spaces, space, NULL, 0);
	serve_no_more(spaces, space);
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
		empty(spaces, space);
		g_hash_table_remove(spaces->by_pid, GINT_TO_POINTER(space->pid));
	}
	/* It tells spaces by where they are in the order. */
	if (spaces->grown || kept < spaces->order->len)
		drop_index(spaces);
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
		note_unreferenced(spaces, segment);
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
		empty(spaces, space);
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

static uint64_t segment_rows(const struct segment *segment, enum kind kind)
{
	return kind == MAPPINGS ? segment->usage.mappings : segment->usage.openers;
}

/* The sums tell where each segment's part begins, so that one walk fills all parts. */
static GArray *make_index(struct spaces *spaces, enum kind kind)
{
	GArray *places = g_array_new(FALSE, FALSE, sizeof(struct place));
	GHashTableIter iter;
	void *value;
	size_t total = 0;

	g_hash_table_iter_init(&iter, spaces->segments);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct segment *segment = value;

		segment->index_end[kind] = total;
		total += segment_rows(segment, kind);
	}
	g_array_set_size(places, total);
	for (guint i = 0; i < spaces->order->len; i++) {
		const struct space *space = spaces->order->pdata[i];

		struct walk walk = { 0 };
		struct segment *segment;

		while (!is_left_out(space, kind) && (segment = next_row(space, kind, &walk)))
			g_array_index(places, struct place, segment->index_end[kind]++) =
				(struct place){ i, walk.at };
	}
	return places;
}

/* Returns the index, made from the second question on since the last change; NULL before. */
static const GArray *index_of(struct spaces *spaces, enum kind kind)
{
	const GArray *places;

	g_mutex_lock(&spaces->lock);
	if (spaces->index[kind].asked && !spaces->index[kind].places)
		spaces->index[kind].places = make_index(spaces, kind);
	spaces->index[kind].asked = true;
	places = spaces->index[kind].places;
	g_mutex_unlock(&spaces->lock);
	return places;
}

typedef bool (*visit_place)(const struct space *space, size_t at, void *data);

static void each_place(struct spaces *spaces, const struct segment *segment, enum kind kind,
	visit_place visit, void *data)
{
	const GArray *places = index_of(spaces, kind);
	size_t n = segment_rows(segment, kind);

	if (places) {
		for (size_t at = segment->index_end[kind] - n; at < segment->index_end[kind];
			at++) {
			const struct place *place = &g_array_index(places, struct place, at);

			if (!visit(spaces->order->pdata[place->space], place->at, data))
				return;
		}
		return;
	}
	for (guint i = 0; n && i < spaces->order->len; i++) {
		const struct space *space = spaces->order->pdata[i];

		struct walk walk = { 0 };
		const struct segment *of;

		while (!is_left_out(space, kind) && (of = next_row(space, kind, &walk))) {
			if (of != segment)
				continue;
			if (!visit(space, walk.at, data))
				return;
			n--;
		}
	}
}

struct mapping_visit {
	bool (*visit)(const struct space *space, const struct mapping *row, void *data);
	void *data;
};

static bool visit_mapping(const struct space *space, size_t at, void *data)
{
	const struct mapping_visit *visit = data;
	struct mapping row;

	packed_mappings_get(&space->mappings, &at, &row);
	return visit->visit(space, &row, visit->data);
}

void spaces_each_mapping(struct spaces *spaces, const struct segment *segment,
	bool (*visit)(const struct space *space, const struct mapping *row, void *data), void *data)
{
	struct mapping_visit each = { visit, data };

	each_place(spaces, segment, MAPPINGS, visit_mapping, &each);
}

struct descriptor_visit {
	bool (*visit)(const struct space *space, const struct descriptor *row, void *data);
	void *data;
};

static bool visit_descriptor(const struct space *space, size_t row, void *data)
{
	const struct descriptor_visit *visit = data;

	return visit->visit(space, &space->descriptors[row], visit->data);
}

void spaces_each_descriptor(struct spaces *spaces, const struct segment *segment,
	bool (*visit)(const struct space *space, const struct descriptor *row, void *data),
	void *data)
{
	struct descriptor_visit each = { visit, data };

	each_place(spaces, segment, DESCRIPTORS, visit_descriptor, &each);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/counts/past.h"

#include <time.h>

struct record {
	struct segment_key key;
	past_time used;        /* the last time that something was known to use it */
	past_time found;       /* the first time that it was found idle since; 0: not asked for */
	past_time when;        /* the last time that `user` was seen to */
	struct past_user user; /* pid 0: none was seen */
	GList link;            /* in `order` */
};

struct past {
	GMutex lock;
	/* Under the lock. */
	GHashTable *records; /* their key: struct record, which it owns */
	GQueue order;        /* of struct record, the one that was noted last at its end */
	GArray *passes;      /* of past_time, ascending */
	past_time floor;     /* of the records that were dropped, the latest `used` */
};

past_time past_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (past_time)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void clear_user(struct past_user *user)
{
	if (user->unit)
		g_ref_string_release(user->unit);
	*user = (struct past_user){ 0 };
}

static void record_free(void *data)
{
	struct record *record = data;

	clear_user(&record->user);
	g_free(record);
}

struct past *past_new(void)
{
	struct past *past = g_new0(struct past, 1);

	g_mutex_init(&past->lock);
	g_queue_init(&past->order);
	past->records =
		g_hash_table_new_full(segment_key_hash, segment_key_equal, NULL, record_free);
	past->passes = g_array_new(FALSE, FALSE, sizeof(past_time));
	return past;
}

void past_free(struct past *past)
{
	if (!past)
		return;
	g_hash_table_unref(past->records); /* the links of the queue are in the records */
	g_array_unref(past->passes);
	g_mutex_clear(&past->lock);
	g_free(past);
}

/*
 * Keeps of the older passes as many as it takes to tell an age within a sixty-fourth: the answers
 * that a dropped one would have given are the next one's.
 */
static void thin_out(GArray *passes)
{
	const past_time *all = (const void *)passes->data;
	past_time now = all[passes->len - 1], last = all[0];
	guint kept = 1;

	for (guint i = 1; i < passes->len; i++) {
		if (i + 1 < passes->len && all[i + 1] - last <= (now - all[i + 1]) / 64)
			continue;
		last = all[i];
		g_array_index(passes, past_time, kept++) = last;
	}
	g_array_set_size(passes, kept);
}

/* A clock that was set back must not make a pass come before another. */
void past_note_pass(struct past *past, past_time when)
{
	g_mutex_lock(&past->lock);
	while (past->passes->len > 0 &&
		g_array_index(past->passes, past_time, past->passes->len - 1) >= when)
		g_array_set_size(past->passes, past->passes->len - 1);
	g_array_append_val(past->passes, when);
	if (past->passes->len > PAST_PASSES)
		thin_out(past->passes);
	g_mutex_unlock(&past->lock);
}

static void drop_oldest(struct past *past)
{
	GList *link = g_queue_pop_head_link(&past->order);
	const struct record *record = link->data;

	past->floor = MAX(past->floor, record->used);
	g_hash_table_remove(past->records, &record->key);
}

static struct record *record_of(struct past *past, const struct segment_key *key)
{
	struct record *record = g_hash_table_lookup(past->records, key);

	if (record) {
		g_queue_unlink(&past->order, &record->link);
	} else {
		if (g_hash_table_size(past->records) == PAST_SEGMENTS)
			drop_oldest(past);
		record = g_new0(struct record, 1);
		record->key = *key;
		record->link.data = record;
		g_hash_table_insert(past->records, &record->key, record);
	}
	g_queue_push_tail_link(&past->order, &record->link);
	return record;
}

void past_note_use(struct past *past, const struct segment_key *key, past_time when)
{
	struct record *record;

	g_mutex_lock(&past->lock);
	record = record_of(past, key);
	record->used = MAX(record->used, when);
	g_mutex_unlock(&past->lock);
}

void past_note_user(struct past *past, const struct segment_key *key, const struct past_user *user,
	past_time when, bool counts)
{
	struct record *record;

	g_mutex_lock(&past->lock);
	record = record_of(past, key);
	if (counts)
		record->used = MAX(record->used, when);
	clear_user(&record->user);
	record->user = *user;
	if (user->unit)
		g_ref_string_acquire(user->unit);
	record->when = when;
	g_mutex_unlock(&past->lock);
}

void past_forget(struct past *past, past_time when)
{
	g_mutex_lock(&past->lock);
	past->floor = MAX(past->floor, when);
	g_mutex_unlock(&past->lock);
}

/* The first pass after that time, or 0. */
static past_time first_pass_after(const GArray *passes, past_time time)
{
	guint low = 0, high = passes->len;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (g_array_index(passes, past_time, middle) <= time)
			low = middle + 1;
		else
			high = middle;
	}
	return low < passes->len ? g_array_index(passes, past_time, low) : 0;
}

/* Called with the lock. */
static past_time last_use(const struct past *past, const struct segment_key *key)
{
	const struct record *record = g_hash_table_lookup(past->records, key);

	return MAX(past->floor, record ? record->used : 0);
}

past_time past_idle_since(struct past *past, const struct segment_key *key, past_time after,
	bool exact, bool *passed)
{
	past_time used, pass = 0;

	g_mutex_lock(&past->lock);
	used = last_use(past, key);
	if (used <= after && exact)
		pass = after;
	else
		pass = first_pass_after(past->passes, MAX(after, used));
	g_mutex_unlock(&past->lock);
	if (passed)
		*passed = pass > 0;
	return pass ? pass : MAX(after, used);
}

past_time past_found_idle(struct past *past, const struct segment_key *key, past_time after,
	past_time now)
{
	struct record *record;
	past_time found;

	g_mutex_lock(&past->lock);
	record = record_of(past, key);
	if (record->found <= MAX(after, record->used))
		record->found = now;
	found = record->found;
	g_mutex_unlock(&past->lock);
	return found;
}

bool past_last_user(struct past *past, const struct segment_key *key, struct past_user *out,
	past_time *when)
{
	const struct record *record;
	bool known;

	g_mutex_lock(&past->lock);
	record = g_hash_table_lookup(past->records, key);
	known = record && record->user.pid > 0;
	if (known) {
		*out = record->user;
		if (out->unit)
			g_ref_string_acquire(out->unit);
		*when = record->when;
	}
	g_mutex_unlock(&past->lock);
	return known;
}

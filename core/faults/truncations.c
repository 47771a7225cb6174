/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/truncations.h"

#include "base/util.h"
#include "events/processes.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define KEPT 1024

/* The last one of a segment through the mount, and the last other one; `time` is 0 of one that is not known. */
struct noted {
	struct segment_key key;
	struct truncation through_mount, outside;
	GList link; /* in `order` */
};

struct truncations {
	GMutex lock;
	GHashTable *by_key; /* of struct noted, which it owns, by their keys */
	GQueue order;       /* of struct noted: the most recent first */
	struct event_processes *processes;
	int noted; /* an eventfd, constant: one was noted, and truncations_seen() not called since; or -1 */
};

struct truncations *truncations_new(const char *proc)
{
	struct truncations *truncations = g_new0(struct truncations, 1);

	g_mutex_init(&truncations->lock);
	truncations->by_key =
		g_hash_table_new_full(segment_key_hash, segment_key_equal, NULL, g_free);
	g_queue_init(&truncations->order);
	truncations->processes = event_processes_new(proc);
	truncations->noted = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return truncations;
}

void truncations_free(struct truncations *truncations)
{
	if (!truncations)
		return;
	g_hash_table_unref(truncations->by_key);
	event_processes_free(truncations->processes);
	closep(&truncations->noted);
	g_mutex_clear(&truncations->lock);
	g_free(truncations);
}

/* Returns the one of that segment, new or not, as the most recent. */
static struct noted *noted_for(struct truncations *truncations, const struct segment_key *key)
{
	struct noted *noted = g_hash_table_lookup(truncations->by_key, key);

	if (noted) {
		g_queue_unlink(&truncations->order, &noted->link);
	} else {
		noted = g_new0(struct noted, 1);
		noted->key = *key;
		noted->link.data = noted;
		g_hash_table_insert(truncations->by_key, &noted->key, noted);
	}
	g_queue_push_head_link(&truncations->order, &noted->link);
	return noted;
}

static void forget_oldest(struct truncations *truncations)
{
	GList *oldest = g_queue_pop_tail_link(&truncations->order);

	g_hash_table_remove(truncations->by_key, &((struct noted *)oldest->data)->key);
}

/* Fills in what procfs tells of the process, which waits for the answer to its call. */
static void identify(struct truncations *truncations, struct truncation *truncation)
{
	struct process_identity process;

	event_processes_find(truncations->processes, truncation->pid, -1, &process);
	truncation->identified = process.born != 0;
	if (!truncation->identified)
		return;
	truncation->pid = process.pid;
	truncation->born = process.born;
	/* It may have become another user's since it was read. */
	truncation->readable = process.readable && process.uid == truncation->uid;
	g_strlcpy(truncation->command, process.command, sizeof truncation->command);
	g_strlcpy(truncation->unit, process.unit, sizeof truncation->unit);
}

int64_t truncations_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void note(struct truncations *truncations, const struct segment_key *key,
	const struct truncation *made)
{
	struct noted *noted;

	g_mutex_lock(&truncations->lock);
	noted = noted_for(truncations, key);
	*(made->through_mount ? &noted->through_mount : &noted->outside) = *made;
	if (truncations->order.length > KEPT)
		forget_oldest(truncations);
	g_mutex_unlock(&truncations->lock);
	if (truncations->noted >= 0)
		eventfd_write(truncations->noted, 1);
}

int truncations_fd(const struct truncations *truncations)
{
	return truncations->noted;
}

void truncations_seen(struct truncations *truncations)
{
	eventfd_t count;

	eventfd_read(truncations->noted, &count);
}

void truncations_note(struct truncations *truncations, const struct segment_key *key,
	const struct truncation *made)
{
	struct truncation truncation = {
		.through_mount = true,
		.after = made->after,
		.time = truncations_now(),
		.from = made->from,
		.to = made->to,
		.pid = made->pid,
		.uid = made->uid,
		.unit = "-",
	};

	identify(truncations, &truncation);
	note(truncations, key, &truncation);
}

/* It is not known who truncated the segment last outside of the mount; NULL: any segment. */
static void forget_outside(struct truncations *truncations, const struct segment_key *key)
{
	struct noted *noted;
	GHashTableIter iter;

	g_mutex_lock(&truncations->lock);
	noted = key ? g_hash_table_lookup(truncations->by_key, key) : NULL;
	if (noted)
		noted->outside = (struct truncation){ 0 };
	g_hash_table_iter_init(&iter, truncations->by_key);
	while (!key && g_hash_table_iter_next(&iter, NULL, (gpointer *)&noted))
		noted->outside = (struct truncation){ 0 };
	g_mutex_unlock(&truncations->lock);
}

void truncations_note_outside(struct truncations *truncations, const struct segment_key *key,
	const struct shrink *made)
{
	const struct process_identity *process = &made->process;
	bool identified = process->born != 0;
	struct truncation truncation = {
		.after = made->after,
		.time = made->until,
		.from = made->from,
		.to = made->to,
		.pid = process->pid,
		.uid = identified ? process->uid : NO_UID,
		.identified = identified,
		.born = process->born,
		.readable = process->readable,
		.unit = "-",
	};

	if (process->pid == 0) {
		forget_outside(truncations, made->inode ? key : NULL);
		return;
	}
	if (identified) {
		g_strlcpy(truncation.command, process->command, sizeof truncation.command);
		g_strlcpy(truncation.unit, process->unit, sizeof truncation.unit);
	}
	note(truncations, key, &truncation);
}

/*
 * Of one of which only is known that it was before or after the bus error, the size then tells: that
 * the truncation left, it has only afterwards.
 */
static bool took_it(const struct truncation *truncation, const struct beyond_end *at)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	bool before = at->time >= truncation->time ?
		truncation->to <= at->size :
		at->time >= truncation->after && truncation->to == at->size;

	return truncation->time != 0 && before && truncation->to <= at->offset &&
		at->offset / page * page < truncation->from;
}

bool truncations_last(struct truncations *truncations, const struct segment_key *key,
	const struct beyond_end *at, struct truncation *out)
{
	const struct truncation *last = NULL;
	const struct noted *noted;

	g_mutex_lock(&truncations->lock);
	noted = g_hash_table_lookup(truncations->by_key, key);
	if (noted && took_it(&noted->through_mount, at))
		last = &noted->through_mount;
	if (noted && took_it(&noted->outside, at) && (!last || noted->outside.time > last->time))
		last = &noted->outside;
	if (last)
		*out = *last;
	/* Of what a process did again and again the time of the last is known. */
	if (last && out->time > at->time)
		out->time = at->time;
	g_mutex_unlock(&truncations->lock);
	return last;
}

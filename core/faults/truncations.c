/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/truncations.h"

#include "procfs/process-facts.h"

#include <unistd.h>

#define KEPT 1024

struct noted {
	struct segment_key key;
	struct truncation truncation;
	GList link; /* in `order` */
};

struct truncations {
	GMutex lock;
	GHashTable *by_key; /* of struct noted, which it owns, by their keys */
	GQueue order;       /* of struct noted: the most recent first */
};

struct truncations *truncations_new(void)
{
	struct truncations *truncations = g_new0(struct truncations, 1);

	g_mutex_init(&truncations->lock);
	truncations->by_key =
		g_hash_table_new_full(segment_key_hash, segment_key_equal, NULL, g_free);
	g_queue_init(&truncations->order);
	return truncations;
}

void truncations_free(struct truncations *truncations)
{
	if (!truncations)
		return;
	g_hash_table_unref(truncations->by_key);
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

/* Fills in what procfs tells of the process. */
static void identify(const char *proc, struct truncation *truncation)
{
	struct process_identity process;

	truncation->identified =
		truncation->pid != 0 && process_identity_read(proc, truncation->pid, &process) == 0;
	if (!truncation->identified)
		return;
	truncation->pid = process.pid;
	truncation->born = process.born;
	truncation->readable = process.readable;
	g_strlcpy(truncation->command, process.command, sizeof truncation->command);
	g_strlcpy(truncation->unit, process.unit, sizeof truncation->unit);
}

void truncations_note(struct truncations *truncations, const char *proc,
	const struct segment_key *key, const struct truncation *made)
{
	struct truncation truncation = {
		.from = made->from,
		.to = made->to,
		.pid = made->pid,
		.uid = made->uid,
		.unit = "-",
	};

	identify(proc, &truncation);
	clock_gettime(CLOCK_REALTIME, &truncation.time);
	g_mutex_lock(&truncations->lock);
	noted_for(truncations, key)->truncation = truncation;
	if (truncations->order.length > KEPT)
		forget_oldest(truncations);
	g_mutex_unlock(&truncations->lock);
}

bool truncations_last(struct truncations *truncations, const struct segment_key *key,
	uint64_t offset, uint64_t size, struct truncation *out)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	const struct noted *noted;
	bool found = false;

	g_mutex_lock(&truncations->lock);
	noted = g_hash_table_lookup(truncations->by_key, key);
	if (noted) {
		*out = noted->truncation;
		found = out->to <= size && out->to <= offset && offset / page * page < out->from;
	}
	g_mutex_unlock(&truncations->lock);
	return found;
}

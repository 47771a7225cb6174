/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/unlinked-grace.h"

#include <glib.h>
#include <stdbool.h>

#define GRACE_US (G_USEC_PER_SEC / 2)

struct unlinked_grace {
	void (*expire)(void *data, uint64_t ino); /* constant, as are the next two */
	void *data;
	GThread *thread;
	GMutex lock;    /* a leaf; protects the rest */
	GCond changed;  /* `waiting` is empty no longer, or `ending` */
	GQueue waiting; /* of struct entry *, the first to end first */
	bool ending;
};

struct entry {
	uint64_t ino;
	gint64 until; /* monotonic time, us */
};

static void *expire_entries(void *data)
{
	struct unlinked_grace *grace = data;
	struct entry *first;

	g_mutex_lock(&grace->lock);
	while (!grace->ending) {
		first = g_queue_peek_head(&grace->waiting);
		if (!first) {
			g_cond_wait(&grace->changed, &grace->lock);
		} else if (g_get_monotonic_time() < first->until) {
			g_cond_wait_until(&grace->changed, &grace->lock, first->until);
		} else {
			g_queue_pop_head(&grace->waiting);
			g_mutex_unlock(&grace->lock);
			grace->expire(grace->data, first->ino);
			g_free(first);
			g_mutex_lock(&grace->lock);
		}
	}
	g_mutex_unlock(&grace->lock);
	return NULL;
}

struct unlinked_grace *unlinked_grace_new(void (*expire)(void *data, uint64_t ino), void *data)
{
	struct unlinked_grace *grace = g_new0(struct unlinked_grace, 1);

	grace->expire = expire;
	grace->data = data;
	g_mutex_init(&grace->lock);
	g_cond_init(&grace->changed);
	g_queue_init(&grace->waiting);
	grace->thread = g_thread_new("unlinked", expire_entries, grace);
	return grace;
}

void unlinked_grace_free(struct unlinked_grace *grace)
{
	g_mutex_lock(&grace->lock);
	grace->ending = true;
	g_cond_signal(&grace->changed);
	g_mutex_unlock(&grace->lock);
	g_thread_join(grace->thread);
	g_queue_clear_full(&grace->waiting, g_free);
	g_cond_clear(&grace->changed);
	g_mutex_clear(&grace->lock);
	g_free(grace);
}

void unlinked_grace_add(struct unlinked_grace *grace, uint64_t ino)
{
	struct entry *entry = g_new(struct entry, 1);

	*entry = (struct entry){ ino, g_get_monotonic_time() + GRACE_US };
	g_mutex_lock(&grace->lock);
	g_queue_push_tail(&grace->waiting, entry);
	g_cond_signal(&grace->changed);
	g_mutex_unlock(&grace->lock);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/acts.h"

#include <string.h>

/* An act whose record has not come by then has none: open(2) with O_CREAT may have created nothing. */
#define STALE_US G_USEC_PER_SEC
#define ENDED_MAX 8192

/* How long a record waits for the end of an act at most. */
#define PATIENCE_US (50 * 1000)

struct event_act {
	unsigned types; /* that have not been told yet */
	char name[NAME_MAX + 1];
	uint64_t inode;
	bool by_child;
	struct process_identity process;
	gint64 ended;           /* 0: it has not */
	GList link;             /* in `running` or `ended` */
	struct event_act *same; /* the next one that has ended, of the same inode */
};

struct event_acts {
	GMutex lock; /* a leaf */
	GCond end;   /* of an act */
	/* Protected by the lock. */
	GQueue running,
		ended;        /* of struct event_act; `ended`: the one that ended last at its end */
	GHashTable *by_inode; /* inode number: the acts in `ended` */
	unsigned by_child;    /* of either */
};

struct event_acts *event_acts_new(void)
{
	struct event_acts *acts = g_new0(struct event_acts, 1);

	g_mutex_init(&acts->lock);
	g_cond_init(&acts->end);
	g_queue_init(&acts->running);
	g_queue_init(&acts->ended);
	acts->by_inode = g_hash_table_new(g_int64_hash, g_int64_equal);
	return acts;
}

/* Takes one out of the acts of its inode; the key of a hash table lies in the first of them. */
static void forget_locked(struct event_acts *acts, struct event_act *act)
{
	struct event_act *first = g_hash_table_lookup(acts->by_inode, &act->inode);
	struct event_act **at = &first;

	while (*at != act)
		at = &(*at)->same;
	*at = act->same;
	if (first)
		g_hash_table_replace(acts->by_inode, &first->inode, first);
	else
		g_hash_table_remove(acts->by_inode, &act->inode);
	g_queue_unlink(&acts->ended, &act->link);
	acts->by_child -= act->by_child;
	g_free(act);
}

void event_acts_clear(struct event_acts *acts)
{
	g_mutex_lock(&acts->lock);
	while (acts->ended.head)
		forget_locked(acts, acts->ended.head->data);
	g_mutex_unlock(&acts->lock);
}

void event_acts_free(struct event_acts *acts)
{
	event_acts_clear(acts);
	g_hash_table_unref(acts->by_inode);
	g_cond_clear(&acts->end);
	g_mutex_clear(&acts->lock);
	g_free(acts);
}

struct event_act *event_act_begin(struct event_acts *acts, unsigned types, const char *name,
	uint64_t inode, bool by_child, const struct process_identity *process)
{
	struct event_act *act = g_new0(struct event_act, 1);

	act->types = types;
	g_strlcpy(act->name, name ? name : "", sizeof act->name);
	act->inode = inode;
	act->by_child = by_child;
	act->process = *process;
	act->link.data = act;
	g_mutex_lock(&acts->lock);
	g_queue_push_tail_link(&acts->running, &act->link);
	acts->by_child += by_child;
	g_mutex_unlock(&acts->lock);
	return act;
}

static void drop_stale_locked(struct event_acts *acts, gint64 now)
{
	while (acts->ended.head) {
		struct event_act *oldest = acts->ended.head->data;

		if (acts->ended.length <= ENDED_MAX && now - oldest->ended < STALE_US)
			return;
		forget_locked(acts, oldest);
	}
}

void event_act_end(struct event_acts *acts, struct event_act *act, bool done, uint64_t inode)
{
	g_mutex_lock(&acts->lock);
	g_queue_unlink(&acts->running, &act->link);
	if (inode)
		act->inode = inode;
	if (done && act->inode) {
		act->ended = g_get_monotonic_time();
		act->same = g_hash_table_lookup(acts->by_inode, &act->inode);
		g_hash_table_replace(acts->by_inode, &act->inode, act);
		g_queue_push_tail_link(&acts->ended, &act->link);
		drop_stale_locked(acts, act->ended);
	} else {
		acts->by_child -= act->by_child;
		g_free(act);
	}
	g_cond_broadcast(&acts->end);
	g_mutex_unlock(&acts->lock);
}

/* Whether an act that has not ended may be the one. */
static bool is_running_locked(struct event_acts *acts, enum event_type type, const char *name,
	uint64_t inode)
{
	for (const GList *l = acts->running.head; l; l = l->next) {
		const struct event_act *act = l->data;

		if (act->types & 1u << type &&
			(act->inode ? act->inode == inode :
				      name && *act->name && strcmp(act->name, name) == 0))
			return true;
	}
	return false;
}

unsigned event_acts_take(struct event_acts *acts, enum event_type type, const char *name,
	uint64_t inode, void (*visit)(const struct process_identity *process, void *data),
	void *data)
{
	gint64 until = g_get_monotonic_time() + PATIENCE_US;
	struct event_act *act, *next;
	unsigned n = 0;

	g_mutex_lock(&acts->lock);
	while (is_running_locked(acts, type, name, inode) &&
		g_cond_wait_until(&acts->end, &acts->lock, until))
		;
	for (act = g_hash_table_lookup(acts->by_inode, &inode); act; act = next) {
		next = act->same;
		if (!(act->types & 1u << type) ||
			(name && *act->name && strcmp(act->name, name) != 0))
			continue;
		visit(&act->process, data);
		n++;
		act->types &= ~(1u << type);
		if (!act->types)
			forget_locked(acts, act);
	}
	g_mutex_unlock(&acts->lock);
	return n;
}

bool event_acts_by_child(struct event_acts *acts, uint64_t inode)
{
	bool any = false;

	g_mutex_lock(&acts->lock);
	if (acts->by_child > 0) {
		for (const GList *l = acts->running.head; l && !any; l = l->next) {
			const struct event_act *act = l->data;

			any = act->by_child && act->inode == inode;
		}
		for (const struct event_act *act = g_hash_table_lookup(acts->by_inode, &inode);
			act && !any; act = act->same)
			any = act->by_child;
	}
	g_mutex_unlock(&acts->lock);
	return any;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/origins.h"

#include <glib.h>

/* Objects of which something is known: some hundred bytes each. */
#define ORIGINS_MAX 8192

struct known {
	uint64_t inode;
	struct origin origin;
	gint64 named, unnamed; /* when it was told of the two, monotonic, in us */
	bool unclear_created, unclear_removed;
	GList link; /* in `order` */
};

struct origins {
	GMutex lock; /* a leaf */
	/* Protected by the lock. Times but `since` are monotonic, in us. */
	GHashTable *objects;  /* inode number: struct known, which it owns */
	GQueue order;         /* of them: the one of which something was told last at the end */
	int64_t since;        /* objects that were born later were named first by what is known */
	gint64 drained;       /* records that are older are handled */
	gint64 told, blurred; /* the last time */
};

struct origins *origins_new(void)
{
	struct origins *origins = g_new0(struct origins, 1);

	g_mutex_init(&origins->lock);
	g_queue_init(&origins->order);
	origins->objects = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	origins->since = G_MAXINT64;
	origins->told = origins->blurred = -1;
	return origins;
}

void origins_free(struct origins *origins)
{
	g_hash_table_unref(origins->objects);
	g_mutex_clear(&origins->lock);
	g_free(origins);
}

void origins_begin(struct origins *origins, int64_t now)
{
	g_mutex_lock(&origins->lock);
	g_queue_init(&origins->order);
	g_hash_table_remove_all(origins->objects);
	origins->since = now;
	origins->told = origins->blurred = -1;
	origins->drained = 0;
	g_mutex_unlock(&origins->lock);
}

void origins_end(struct origins *origins)
{
	origins_begin(origins, G_MAXINT64);
}

static void drop_locked(struct origins *origins, struct known *known)
{
	g_queue_unlink(&origins->order, &known->link);
	g_hash_table_remove(origins->objects, &known->inode);
}

/* What is forgotten might be taken for new if it got a further name. */
static void make_room_locked(struct origins *origins)
{
	struct known *oldest;

	if (origins->order.length < ORIGINS_MAX)
		return;
	oldest = origins->order.head->data;
	origins->since = MAX(origins->since, oldest->origin.created.time);
	drop_locked(origins, oldest);
}

static struct known *get_locked(struct origins *origins, uint64_t inode)
{
	struct known *known = g_hash_table_lookup(origins->objects, &inode);

	if (known) {
		g_queue_unlink(&origins->order, &known->link);
	} else {
		make_room_locked(origins);
		known = g_new0(struct known, 1);
		known->inode = inode;
		known->link.data = known;
		g_hash_table_insert(origins->objects, &known->inode, known);
	}
	g_queue_push_tail_link(&origins->order, &known->link);
	return known;
}

static bool is_same(const struct deed *a, const struct deed *b)
{
	return a->process.pid == b->process.pid && a->process.born == b->process.born;
}

void origins_named(struct origins *origins, uint64_t inode, const struct deed *deed)
{
	struct known *known;

	g_mutex_lock(&origins->lock);
	origins->told = g_get_monotonic_time();
	known = get_locked(origins, inode);
	if (!known->origin.created.known) {
		known->origin.created = *deed;
		known->origin.created.known = true;
		known->named = origins->told;
	} else if (known->named >= origins->drained && !is_same(&known->origin.created, deed)) {
		known->unclear_created = true;
	}
	g_mutex_unlock(&origins->lock);
}

static void note_loss(const struct origins *origins, struct known *known, const struct deed *deed,
	enum left left)
{
	const struct deed *last = &known->origin.removed;
	bool again = last->known && known->unnamed >= origins->drained;

	known->unclear_removed = origins->blurred >= origins->drained ||
		(again && (known->unclear_removed || !is_same(last, deed)));
	known->origin.removed = *deed;
	known->origin.removed.known = left == LEFT_NAMELESS;
	known->unnamed = origins->told;
}

void origins_unnamed(struct origins *origins, uint64_t inode, const struct deed *deed,
	enum left left)
{
	struct known *known;

	g_mutex_lock(&origins->lock);
	origins->told = g_get_monotonic_time();
	if (left == LEFT_NOTHING) {
		/* Nobody can ask for it. */
		known = g_hash_table_lookup(origins->objects, &inode);
		if (known)
			drop_locked(origins, known);
	} else {
		note_loss(origins, get_locked(origins, inode), deed, left);
	}
	g_mutex_unlock(&origins->lock);
}

void origins_blur(struct origins *origins)
{
	g_mutex_lock(&origins->lock);
	origins->told = origins->blurred = g_get_monotonic_time();
	for (GList *l = origins->order.tail; l; l = l->prev) {
		struct known *known = l->data;

		if (MAX(known->named, known->unnamed) < origins->drained)
			break;
		known->unclear_removed = true;
	}
	g_mutex_unlock(&origins->lock);
}

void origins_drained(struct origins *origins, int64_t when)
{
	g_mutex_lock(&origins->lock);
	origins->drained = when;
	g_mutex_unlock(&origins->lock);
}

bool origins_unsettled(struct origins *origins)
{
	bool unsettled;

	g_mutex_lock(&origins->lock);
	unsettled = origins->told >= origins->drained;
	g_mutex_unlock(&origins->lock);
	return unsettled;
}

static bool knows_creator(const struct origins *origins, const struct known *known, int64_t born)
{
	const struct deed *created = &known->origin.created;

	return created->known && !known->unclear_created && known->named < origins->drained &&
		born > origins->since && born <= created->time;
}

static bool knows_remover(const struct origins *origins, const struct known *known, bool nameless)
{
	return nameless && known->origin.removed.known && !known->unclear_removed &&
		known->unnamed < origins->drained;
}

void origins_find(struct origins *origins, uint64_t inode, int64_t born, bool nameless,
	struct origin *out)
{
	const struct known *known;

	*out = (struct origin){ 0 };
	g_mutex_lock(&origins->lock);
	known = g_hash_table_lookup(origins->objects, &inode);
	if (known && knows_creator(origins, known, born))
		out->created = known->origin.created;
	if (known && knows_remover(origins, known, nameless))
		out->removed = known->origin.removed;
	g_mutex_unlock(&origins->lock);
}

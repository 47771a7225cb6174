/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/walks.h"

#include "kinds/item-use.h"
#include "kinds/posix.h"

#include <string.h>

/* How often, in microseconds: less often where a walk takes long, so that walks are a fifth of the time at most. */
#define PERIOD_US (500 * 1000)
#define REST 4

/* Segments that are looked at: some hundred bytes each. */
#define SEGMENTS_MAX 20000

/* How long walks_stop() waits. */
#define PATIENCE_US (2 * G_USEC_PER_SEC)

/* One segment, as the last walk found it. */
struct seen {
	const struct kind *kind;
	const char *label;
	char *id, *name;
	struct segment_key key;
	uint64_t size;
	bool mapped, idle;
	bool quiet; /* nothing is told of it: it may have been there long before it was looked at */
	unsigned walk; /* the last one that has found it */
};

struct walks {
	const struct realm *realm;
	struct events *events;
	GMutex lock; /* a leaf */
	GCond changed;
	/* Protected by the lock. */
	GThread *thread; /* NULL: not started */
	bool ending, ended;
	bool known; /* a walk has been made, or could not be, since events are used */
	/* The thread's own. */
	GHashTable *segments; /* "DIRECTORY/ID": struct seen */
	unsigned walk;
	GHashTable *listed; /* the kinds that were listed whole, of which it is known what is new */
	bool tried;         /* this is not the first walk */
	bool missed;        /* something may have come before its kind was listed */
	bool first;    /* what is found may have been there for long: its kind is not in `listed` */
	bool full;     /* this walk has found too many segments to look at all of them */
	bool was_full; /* the last one has */
	GPtrArray *pending; /* struct event_copy, to be told when the census is released */
};

static void seen_free(void *data)
{
	struct seen *seen = data;

	g_free(seen->id);
	g_free(seen->name);
	g_free(seen);
}

struct walks *walks_new(const struct realm *realm, struct events *events)
{
	struct walks *walks = g_new0(struct walks, 1);

	walks->realm = realm;
	walks->events = events;
	g_mutex_init(&walks->lock);
	g_cond_init(&walks->changed);
	walks->segments = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, seen_free);
	walks->listed = g_hash_table_new(NULL, NULL);
	walks->pending = g_ptr_array_new_with_free_func(g_free);
	return walks;
}

void walks_free(struct walks *walks)
{
	g_ptr_array_unref(walks->pending);
	g_hash_table_unref(walks->segments);
	g_hash_table_unref(walks->listed);
	g_cond_clear(&walks->changed);
	g_mutex_clear(&walks->lock);
	g_free(walks);
}

/* What is to be told */

static void add_event(struct walks *walks, enum event_type type, const struct seen *seen,
	const struct process_identity *process)
{
	struct event_copy *copy;

	if (seen->quiet)
		return;
	copy = g_new0(struct event_copy, 1);
	g_strlcpy(copy->id, seen->id, sizeof copy->id);
	g_strlcpy(copy->name, seen->name, sizeof copy->name);
	copy->event = (struct event){
		.type = type,
		.kind = seen->label,
		.id = copy->id,
		.name = copy->name,
		.inode = seen->key.ino,
		.size = type == EVENT_REMOVED ? EVENT_UNKNOWN : seen->size,
	};
	if (process)
		copy->event.process = *process;
	g_ptr_array_add(walks->pending, copy);
}

/* Fills in whether its user may read its memory, if it is there yet; what else is known of it, the pass saw. */
static void complete_process(struct walks *walks, struct process_identity *process)
{
	struct process_identity now;

	events_process(walks->events, process->pid, &now);
	if (now.born == process->born)
		*process = now;
}

/* Fills in the process, or of what was done through the mount who had it done. */
static void tell_pending(struct walks *walks)
{
	for (guint i = 0; i < walks->pending->len; i++) {
		struct event *event =
			&((struct event_copy *)g_ptr_array_index(walks->pending, i))->event;

		if (event->process.pid)
			complete_process(walks, &event->process);
		else if (event->type == EVENT_CREATED || event->type == EVENT_REMOVED)
			events_take(walks->events, event->type, event->id, event->inode,
				&event->process);
		events_tell(walks->events, event);
	}
	g_ptr_array_set_size(walks->pending, 0);
}

/* One segment */

static void note_process(const struct mapping_row *row, void *data)
{
	struct process_identity *process = data;

	*process = (struct process_identity){ .pid = row->pid, .born = row->born, .uid = row->uid };
	g_strlcpy(process->command, row->command, sizeof process->command);
	g_strlcpy(process->unit, row->unit ? row->unit : "-", sizeof process->unit);
}

/* The process that maps the segment, if it is one alone: else it is not known which was the first. */
static struct process_identity only_mapper(const struct walks *walks, const struct item *item,
	const struct usage *usage)
{
	struct process_identity process = { 0 };

	if (usage->processes == 1)
		census_each_mapping(walks->realm->census, &item->key, note_process, &process);
	return process;
}

/* fanotify tells what happens to the names and sizes of these. */
static bool told_otherwise(const struct walks *walks, const struct kind *kind)
{
	return kind == &kind_posix && !events_missing(walks->events);
}

static struct seen *note_item(struct walks *walks, const struct item *item)
{
	g_autofree char *key = g_strdup_printf("%s/%s", item->kind->directory, item->id);
	struct seen *seen = g_hash_table_lookup(walks->segments, key);
	bool other = seen && seen->key.ino != item->key.ino;

	if (other && !told_otherwise(walks, seen->kind))
		add_event(walks, EVENT_REMOVED, seen, NULL);
	if (seen && !other)
		return seen;
	if (!seen && g_hash_table_size(walks->segments) >= SEGMENTS_MAX) {
		walks->full = true;
		return NULL;
	}
	seen = g_new0(struct seen, 1);
	seen->kind = item->kind;
	seen->label = item->label;
	seen->id = g_strdup(item->id);
	seen->name = g_strdup(item->name);
	seen->key = item->key;
	seen->size = item->size;
	seen->quiet = (walks->first || walks->was_full) && !other;
	g_hash_table_insert(walks->segments, g_steal_pointer(&key), seen);
	if (!told_otherwise(walks, seen->kind))
		add_event(walks, EVENT_CREATED, seen, NULL);
	return seen;
}

/* The census is held. */
static void look(struct walks *walks, struct seen *seen, const struct item *item)
{
	struct references references;
	bool mapped, idle;
	struct usage usage;

	usage = census_usage(walks->realm->census, &item->key);
	references = item_references(walks->realm, item);
	mapped = usage.mappings > 0 || (references.known && references.mapped);
	idle = !mapped && usage.openers == 0 && !item->in_use && references.known &&
		references.count == 0 && !references.served;
	if (mapped && !seen->mapped) {
		const struct process_identity process = only_mapper(walks, item, &usage);

		add_event(walks, EVENT_MAPPED, seen, &process);
	} else if (seen->mapped && !mapped) {
		add_event(walks, EVENT_UNMAPPED, seen, NULL);
	}
	if (idle && !seen->idle)
		add_event(walks, EVENT_IDLE, seen, NULL);
	seen->mapped = mapped;
	seen->idle = idle;
	seen->quiet = false;
}

static void visit(const struct item *item, void *data)
{
	struct walks *walks = data;
	struct seen *seen = item->segment ? note_item(walks, item) : NULL;

	if (!seen)
		return;
	seen->walk = walks->walk;
	if (seen->size != item->size) {
		seen->size = item->size;
		if (!told_otherwise(walks, seen->kind))
			add_event(walks, EVENT_RESIZED, seen, NULL);
	}
	if (!item->kind->listed_alone)
		look(walks, seen, item);
}

static void look_at_listed(gpointer key, gpointer value, gpointer data)
{
	struct walks *walks = data;
	struct seen *seen = value;
	const struct item item = { .kind = seen->kind, .segment = true, .key = seen->key };

	(void)key;
	if (seen->kind->listed_alone && seen->walk == walks->walk)
		look(walks, seen, &item);
}

static gboolean is_gone(gpointer key, gpointer value, gpointer data)
{
	struct walks *walks = data;
	const struct seen *seen = value;

	(void)key;
	if (seen->walk == walks->walk)
		return FALSE;
	if (!told_otherwise(walks, seen->kind))
		add_event(walks, EVENT_REMOVED, seen, NULL);
	return TRUE;
}

/* False: they could not all be listed. */
static bool visit_kind(struct walks *walks, const struct kind *kind)
{
	walks->first = !g_hash_table_contains(walks->listed, kind);
	if (kind->present(walks->realm) && kind->each(walks->realm, visit, walks) < 0)
		return false;
	walks->missed |= walks->first && walks->tried;
	g_hash_table_add(walks->listed, (void *)kind);
	return true;
}

static bool visit_kinds(struct walks *walks, bool alone)
{
	bool all = true;

	for (const struct kind *const *kind = kinds; *kind; kind++)
		if ((*kind)->listed_alone == alone)
			all &= visit_kind(walks, *kind);
	return all;
}

/*
 * Lists what needs no census for it first: nobody waits for a count while a directory is read. False:
 * something could not be listed, so that nothing is known to be gone.
 */
static bool visit_all(struct walks *walks)
{
	bool all = visit_kinds(walks, true);

	if (census_hold(walks->realm->census, CENSUS_ALL) < 0)
		return false;
	g_hash_table_foreach(walks->segments, look_at_listed, walks);
	all &= visit_kinds(walks, false);
	census_release(walks->realm->census);
	return all;
}

static void walk(struct walks *walks)
{
	walks->was_full = walks->full;
	walks->full = false;
	walks->walk++;
	walks->missed = false;
	if (visit_all(walks)) {
		g_hash_table_foreach_remove(walks->segments, is_gone, walks);
	} else {
		walks->full |= walks->was_full;
	}
	tell_pending(walks);
	/* Also when there is room again: what has come up to then was not told. */
	if (walks->missed || walks->full != walks->was_full)
		events_tell(walks->events,
			&(struct event){ .type = EVENT_LOST, .lost = EVENT_UNKNOWN });
	walks->tried = true;
}

/* The thread */

static void forget(struct walks *walks)
{
	g_hash_table_remove_all(walks->segments);
	g_hash_table_remove_all(walks->listed);
	walks->tried = false;
	walks->full = false;
}

/* The lock is held, but for the walk. */
static void walk_or_wait(struct walks *walks)
{
	gint64 began = g_get_monotonic_time(), took, until;

	if (!events_on(walks->events)) {
		walks->known = false;
		forget(walks);
		g_cond_wait(&walks->changed, &walks->lock);
		return;
	}
	g_mutex_unlock(&walks->lock);
	walk(walks);
	g_mutex_lock(&walks->lock);
	took = g_get_monotonic_time() - began;
	walks->known = true;
	g_cond_broadcast(&walks->changed);
	/* Who begins to read meanwhile wakes this thread, but does not have it walk earlier. */
	until = began + took + MAX(REST * took, PERIOD_US);
	while (!walks->ending && g_cond_wait_until(&walks->changed, &walks->lock, until))
		;
}

static gpointer run(gpointer data)
{
	struct walks *walks = data;

	forget(walks);
	g_mutex_lock(&walks->lock);
	while (!walks->ending)
		walk_or_wait(walks);
	walks->ended = true;
	g_cond_broadcast(&walks->changed);
	g_mutex_unlock(&walks->lock);
	return NULL;
}

void walks_begin(struct walks *walks)
{
	g_mutex_lock(&walks->lock);
	if (!walks->thread && !walks->ending)
		walks->thread = g_thread_try_new("walks", run, walks, NULL);
	g_cond_broadcast(&walks->changed);
	g_mutex_unlock(&walks->lock);
}

void walks_wait(struct walks *walks)
{
	g_mutex_lock(&walks->lock);
	while (walks->thread && !walks->known && !walks->ending)
		g_cond_wait(&walks->changed, &walks->lock);
	g_mutex_unlock(&walks->lock);
}

bool walks_stop(struct walks *walks)
{
	gint64 until = g_get_monotonic_time() + PATIENCE_US;
	bool ended;

	g_mutex_lock(&walks->lock);
	walks->ending = true;
	g_cond_broadcast(&walks->changed);
	while (walks->thread && !walks->ended &&
		g_cond_wait_until(&walks->changed, &walks->lock, until))
		;
	ended = !walks->thread || walks->ended;
	g_mutex_unlock(&walks->lock);
	if (ended)
		g_clear_pointer(&walks->thread, g_thread_join);
	return ended;
}

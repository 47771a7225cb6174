/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/events.h"

#include "base/util.h"
#include "events/acts.h"
#include "events/changes.h"
#include "events/fanotify.h"
#include "events/origins.h"
#include "events/processes.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

/* A hundred thousand events of objects with short names. */
#define RING_BYTES (8 * 1024 * 1024)

/* How often readers are woken at most: one that is woken for each event has no time to read. */
#define WAKE_EVERY_US 2000

/*
 * While so many records come within a millisecond, the thread sleeps between two reads: the kernel then
 * does not wake it for each, which is most of what an event costs the process that causes it, and
 * merges more of them. While few come it does not, to find even a process that ends at once.
 */
#define BUSY_RECORDS 16
#define NAP_US 300
#define RECORD_BYTES 100 /* about */

/* After so long without a record, no record explains what was told wrong. */
#define SETTLE_US (20 * 1000)

/* A record is smaller: a read that leaves so much of the buffer free has taken all that there was. */
#define RECORD_MAX 4096

/* So many full buffers are read before the thread looks at anything else. */
#define BUFFERS_AT_ONCE 64

/* Events that wait for fanotify's records: a kilobyte each. What comes while they are so many is lost. */
#define LATER_MAX 4096

/* How long events_stop() waits. */
#define PATIENCE_US (2 * G_USEC_PER_SEC)

struct events {
	struct events_config config; /* constant */
	struct changes_config changes_config;
	struct event_ring *ring;
	struct event_acts *acts;
	struct event_processes *processes;
	struct origins *origins;
	GThread *thread; /* NULL until the first use; under the lock */
	int wake;        /* an eventfd */
	gint on;         /* `uses` is more than 0, and the thread is not to end; atomic */
	GMutex lock;
	GCond stopped;
	/* Protected by the lock. */
	unsigned uses;
	bool ending, ended;
	struct fanotify_group group; /* opened by who begins to use it, closed by the thread */
	const char *missing;
	GPtrArray *later;    /* of struct event_copy */
	uint64_t later_lost; /* that are not in it, for it was full */
	/* The thread's own. */
	struct changes *changes;       /* NULL: not watching */
	struct fanotify_group watched; /* its copy of `group` */
	gint64 millisecond;            /* the present one, and what has been read in it */
	unsigned records;
	gint64 woken;  /* when the readers were; monotonic */
	uint64_t told; /* up to where in the ring they know */
};

static void tell_shrink(const struct shrink *shrink, void *data)
{
	const struct events *events = data;

	if (events->config.shrunk)
		events->config.shrunk(shrink, events->config.data);
}

static void tell(const struct event *event, void *data)
{
	const struct events *events = data;

	event_ring_append(events->ring, event);
}

int events_new(const struct events_config *config, struct events **out)
{
	struct events *events;
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (wake < 0)
		return -errno;
	events = g_new0(struct events, 1);
	events->config = *config;
	events->wake = wake;
	events->group.fd = -1;
	events->ring = event_ring_new(config->bytes ? config->bytes : RING_BYTES);
	events->acts = event_acts_new();
	events->processes = event_processes_new("/proc");
	events->origins = origins_new();
	events->later = g_ptr_array_new_with_free_func(g_free);
	events->changes_config = (struct changes_config){
		.directory = config->directory,
		.kind = config->kind,
		.reserved = config->reserved,
		.hidden_prefix = config->hidden_prefix,
		.acts = events->acts,
		.processes = events->processes,
		.origins = events->origins,
		.tell = tell,
		.shrunk = tell_shrink,
		.data = events,
	};
	g_mutex_init(&events->lock);
	g_cond_init(&events->stopped);
	*out = events;
	return 0;
}

static void wake_thread(struct events *events)
{
	uint64_t one = 1;
	ssize_t n = write(events->wake, &one, sizeof one);

	(void)n; /* it is non-blocking, and full only if the thread is woken anyway */
}

/* The thread */

/* Events that are to come after what has been read by now; in `*lost`, how many more there were. */
static GPtrArray *take_later(struct events *events, uint64_t *lost)
{
	GPtrArray *later = NULL;

	g_mutex_lock(&events->lock);
	if (events->later->len > 0) {
		later = events->later;
		events->later = g_ptr_array_new_with_free_func(g_free);
	}
	*lost = events->later_lost;
	events->later_lost = 0;
	g_mutex_unlock(&events->lock);
	return later;
}

static void tell_all(struct events *events, GPtrArray *later, uint64_t lost)
{
	for (guint i = 0; later && i < later->len; i++)
		tell(&((struct event_copy *)g_ptr_array_index(later, i))->event, events);
	if (lost > 0)
		tell(&(struct event){ .type = EVENT_LOST, .lost = lost }, events);
	if (later)
		g_ptr_array_unref(later);
}

static void wake_readers(struct events *events)
{
	gint64 now = g_get_monotonic_time();
	uint64_t end = event_ring_total(events->ring);

	if (end == events->told || now - events->woken < WAKE_EVERY_US)
		return;
	events->told = end;
	events->woken = now;
	events->config.wake(events->config.data);
}

/* Sleeps a little if much is happening. */
static void nap_if_busy(struct events *events, size_t bytes)
{
	gint64 millisecond = g_get_monotonic_time() / G_TIME_SPAN_MILLISECOND;

	if (millisecond - events->millisecond > 1)
		events->records = 0;
	else if (millisecond != events->millisecond)
		events->records /= 2;
	events->millisecond = millisecond;
	events->records += bytes / RECORD_BYTES;
	if (events->records >= BUSY_RECORDS && bytes < FANOTIFY_BUFFER / 2)
		g_usleep(NAP_US);
}

/*
 * Reads what the kernel has by now; returns whether there was anything. It ends even while more and
 * more happens: the thread has to see that it is to end, or that nobody uses the events any more.
 */
static bool drain(struct events *events, uint8_t *buffer)
{
	bool any = false, more = events->changes && events->watched.fd >= 0;
	gint64 read = 0;

	for (unsigned i = 0; more && i < BUFFERS_AT_ONCE && events_on(events); i++) {
		ssize_t n;

		read = g_get_monotonic_time();
		n = fanotify_read(&events->watched, buffer);
		more = n > 0;
		if (!more)
			break;
		any = true;
		more = n > FANOTIFY_BUFFER - RECORD_MAX;
		if (changes_handle(events->changes, &events->watched, buffer, n) < 0)
			break;
		wake_readers(events);
		nap_if_busy(events, n);
	}
	if (read && !more)
		changes_drained(events->changes, read);
	return any;
}

/* Begins or ends to watch, as is wanted; false: the thread is to end. */
static bool follow_use(struct events *events)
{
	bool ending, begins = false;

	g_mutex_lock(&events->lock);
	ending = events->ending;
	if (events->uses > 0 && !ending) {
		begins = !events->changes;
		if (begins)
			events->changes = changes_new(&events->changes_config);
	} else {
		g_clear_pointer(&events->changes, changes_free);
		fanotify_close(&events->group);
		event_acts_clear(events->acts);
		event_ring_clear(events->ring);
		g_ptr_array_set_size(events->later, 0);
		events->later_lost = 0;
	}
	events->watched = events->group;
	g_mutex_unlock(&events->lock);
	if (begins && events->watched.fd >= 0)
		changes_begin(events->changes);
	return !ending;
}

/* How long the thread may sleep, in milliseconds. */
static int time_to_sleep(const struct events *events)
{
	if (events->told != event_ring_total(events->ring))
		return WAKE_EVERY_US / 1000;
	if (events->changes && changes_unsettled(events->changes))
		return SETTLE_US / 1000;
	return -1;
}

static void sleep_until_woken(struct events *events)
{
	struct pollfd sources[] = {
		{ .fd = events->wake, .events = POLLIN },
		{ .fd = events->watched.fd, .events = POLLIN },
	};
	uint64_t count;

	poll(sources, G_N_ELEMENTS(sources), time_to_sleep(events));
	if (sources[0].revents && read(events->wake, &count, sizeof count) < 0)
		return;
}

static gpointer run(gpointer data)
{
	struct events *events = data;
	g_autofree uint8_t *buffer = g_malloc(FANOTIFY_BUFFER);
	gint64 last = 0;

	while (follow_use(events)) {
		gint64 now = g_get_monotonic_time();
		uint64_t lost;
		GPtrArray *later = take_later(events, &lost);

		if (drain(events, buffer))
			last = now;
		if (events->changes && changes_unsettled(events->changes) && now - last > SETTLE_US)
			changes_settle(events->changes);
		tell_all(events, later, lost);
		wake_readers(events);
		sleep_until_woken(events);
	}
	g_mutex_lock(&events->lock);
	events->ended = true;
	g_cond_broadcast(&events->stopped);
	g_mutex_unlock(&events->lock);
	return NULL;
}

bool events_stop(struct events *events)
{
	gint64 until = g_get_monotonic_time() + PATIENCE_US;
	bool ended;

	g_mutex_lock(&events->lock);
	events->ending = true;
	g_atomic_int_set(&events->on, FALSE);
	wake_thread(events);
	while (events->thread && !events->ended &&
		g_cond_wait_until(&events->stopped, &events->lock, until))
		;
	ended = !events->thread || events->ended;
	g_mutex_unlock(&events->lock);
	if (ended)
		g_clear_pointer(&events->thread, g_thread_join);
	return ended;
}

void events_free(struct events *events)
{
	while (!events_stop(events))
		;
	fanotify_close(&events->group);
	event_ring_free(events->ring);
	event_acts_free(events->acts);
	event_processes_free(events->processes);
	origins_free(events->origins);
	g_ptr_array_unref(events->later);
	closep(&events->wake);
	g_cond_clear(&events->stopped);
	g_mutex_clear(&events->lock);
	g_free(events);
}

/* Use */

int events_use(struct events *events)
{
	int r = 0;

	g_mutex_lock(&events->lock);
	if (!events->thread && !events->ending)
		events->thread = g_thread_try_new("events", run, events, NULL);
	if (!events->thread || events->ending) {
		r = -EAGAIN;
	} else if (events->uses++ == 0) {
		if (events->group.fd < 0 && events->config.directory >= 0) {
			events->missing = NULL;
			fanotify_open(&events->group, events->config.directory, &events->missing);
		}
		g_atomic_int_set(&events->on, TRUE);
		wake_thread(events);
	}
	g_mutex_unlock(&events->lock);
	return r;
}

void events_unuse(struct events *events)
{
	g_mutex_lock(&events->lock);
	if (--events->uses == 0) {
		g_atomic_int_set(&events->on, FALSE);
		wake_thread(events);
	}
	g_mutex_unlock(&events->lock);
}

bool events_on(struct events *events)
{
	return events && g_atomic_int_get(&events->on);
}

const char *events_missing(struct events *events)
{
	const char *missing;

	g_mutex_lock(&events->lock);
	missing = events->missing;
	g_mutex_unlock(&events->lock);
	return missing;
}

struct event_ring *events_ring(struct events *events)
{
	return events->ring;
}

/* Telling */

void events_tell(struct events *events, const struct event *event)
{
	if (!events_on(events))
		return;
	event_ring_append(events->ring, event);
	wake_thread(events);
}

static const char *keep(char out[NAME_MAX + 1], const char *text)
{
	if (!text)
		return NULL;
	g_strlcpy(out, text, NAME_MAX + 1);
	return out;
}

void events_tell_later(struct events *events, const struct event *event)
{
	g_autofree struct event_copy *copy = NULL;

	if (!events_on(events))
		return;
	copy = g_new(struct event_copy, 1);
	copy->event = *event;
	copy->event.id = keep(copy->id, event->id);
	copy->event.name = keep(copy->name, event->name);
	copy->event.from = keep(copy->from, event->from);
	g_mutex_lock(&events->lock);
	if (events->later->len < LATER_MAX)
		g_ptr_array_add(events->later, g_steal_pointer(&copy));
	else
		events->later_lost++;
	g_mutex_unlock(&events->lock);
	wake_thread(events);
}

struct event_act *events_begin(struct events *events, unsigned types, const char *name,
	uint64_t inode, bool by_child, const struct caller *caller)
{
	struct process_identity process = { 0 };

	if (!events_on(events))
		return NULL;
	event_processes_find(events->processes, caller->pid, -1, &process);
	return event_act_begin(events->acts, types, name, inode, by_child, &process);
}

void events_end(struct events *events, struct event_act *act, bool done, uint64_t inode)
{
	if (act)
		event_act_end(events->acts, act, done, inode);
}

void events_process(struct events *events, pid_t pid, struct process_identity *out)
{
	event_processes_find(events->processes, pid, -1, out);
}

void events_origin(struct events *events, uint64_t inode, int64_t born, bool nameless,
	struct origin *out)
{
	origins_find(events->origins, inode, born, nameless, out);
}

static void copy_process(const struct process_identity *process, void *data)
{
	*(struct process_identity *)data = *process;
}

bool events_take(struct events *events, enum event_type type, const char *name, uint64_t inode,
	struct process_identity *out)
{
	return event_acts_take(events->acts, type, name, inode, copy_process, out) > 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/workers.h"

#include <pthread.h>

/* Threads at most, of one queue, of one of listings, and of all. */
#define QUEUE_THREADS 16
#define LISTING_THREADS 2
#define THREADS 192

/* How long a thread waits for another job before it ends. */
#define IDLE_US (5 * G_USEC_PER_SEC)

struct job {
	void (*run)(void *data);
	void *data;
	struct queue *queue;
};

/* Exists while it has a job that waits or runs. */
struct queue {
	uint64_t turn;
	GQueue jobs;      /* of struct job *, that wait */
	unsigned running; /* jobs that a thread runs, or for which one has been woken or started */
	GList link;       /* in `ready`, while it has jobs that wait */
};

struct workers {
	GMutex lock;
	GCond changed;
	/* Protected by the lock: */
	GHashTable *queues; /* turn: struct queue */
	GQueue ready;       /* the queues with jobs that wait; the first has its turn */
	GQueue begun;       /* of struct job *, for which a thread has been woken or started */
	unsigned threads, running, pending;
	unsigned idle;   /* threads that wait and have not been woken */
	unsigned called; /* threads that have been woken and do not run yet */
	bool ending;
};

static __thread const uint64_t *current;

static void free_queue(void *data)
{
	g_free(data);
}

struct workers *workers_new(void)
{
	struct workers *workers = g_new0(struct workers, 1);

	g_mutex_init(&workers->lock);
	g_cond_init(&workers->changed);
	workers->queues = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_queue);
	g_queue_init(&workers->ready);
	g_queue_init(&workers->begun);
	return workers;
}

/* Whether the queue may have one thread more. */
static bool may_run(const struct workers *workers, const struct queue *queue)
{
	bool listings = queue->turn != TURN_OWN && queue->turn % TURN_CLASSES == TURN_LISTINGS;

	return queue->running < (listings ? LISTING_THREADS : QUEUE_THREADS) &&
		queue->running < THREADS - workers->running;
}

/*
 * Marks the queue's first job to run next, and puts the queue behind the others. The lock is held.
 */
static void begin_locked(struct workers *workers, struct queue *queue)
{
	g_queue_push_tail(&workers->begun, g_queue_pop_head(&queue->jobs));
	g_queue_unlink(&workers->ready, &queue->link);
	if (!g_queue_is_empty(&queue->jobs))
		g_queue_push_tail_link(&workers->ready, &queue->link);
	queue->running++;
	workers->running++;
}

/*
 * Begins all jobs that may run now that one has ended, by turns; returns how many. The lock is
 * held.
 */
static unsigned begin_more_locked(struct workers *workers)
{
	GList *link = workers->ready.head;
	unsigned begun = 0;

	while (link) {
		struct queue *queue = link->data;

		link = link->next;
		if (!may_run(workers, queue))
			continue;
		begin_locked(workers, queue);
		begun++;
		link = workers->ready.head;
	}
	return begun;
}

static void *work(void *data);

/*
 * Wakes or starts a thread; if that fails, the existing threads take the job later. The lock is
 * held.
 */
static void call_thread_locked(struct workers *workers)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (workers->idle > 0) {
		workers->idle--;
		workers->called++;
		g_cond_signal(&workers->changed);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	workers->threads++;
	if (pthread_create(&thread, &attr, work, workers) != 0)
		workers->threads--;
	pthread_attr_destroy(&attr);
}

/* Counts out a job of the queue that has ended or was withdrawn. The lock is held. */
static void drop_locked(struct workers *workers, struct queue *queue)
{
	workers->pending--;
	if (queue->running == 0 && g_queue_is_empty(&queue->jobs))
		g_hash_table_remove(workers->queues, &queue->turn);
}

/* Runs the job without the lock, which is held before and after. */
static void run_locked(struct workers *workers, struct job *job)
{
	struct queue *queue = job->queue;

	g_mutex_unlock(&workers->lock);
	current = &queue->turn;
	job->run(job->data);
	current = NULL;
	g_free(job);
	g_mutex_lock(&workers->lock);
	queue->running--;
	workers->running--;
	drop_locked(workers, queue);
	/* This thread takes the first. */
	for (unsigned more = begin_more_locked(workers); more > 1; more--)
		call_thread_locked(workers);
}

/* Waits to be woken; false if that did not happen within IDLE_US. The lock is held. */
static bool wait_locked(struct workers *workers)
{
	gint64 until = g_get_monotonic_time() + IDLE_US;
	bool woken;

	workers->idle++;
	woken = g_cond_wait_until(&workers->changed, &workers->lock, until);
	if (workers->called > 0)
		workers->called--;
	else
		workers->idle--;
	return woken;
}

static void *work(void *data)
{
	struct workers *workers = data;
	struct job *job;
	bool goes_on = true;

	g_mutex_lock(&workers->lock);
	while (!workers->ending) {
		job = g_queue_pop_head(&workers->begun);
		if (job)
			run_locked(workers, job);
		else if (!goes_on)
			break;
		goes_on = job || wait_locked(workers);
	}
	workers->threads--;
	g_cond_broadcast(&workers->changed);
	g_mutex_unlock(&workers->lock);
	return NULL;
}

static struct queue *queue_of(struct workers *workers, uint64_t turn)
{
	struct queue *queue = g_hash_table_lookup(workers->queues, &turn);

	if (queue)
		return queue;
	queue = g_new0(struct queue, 1);
	queue->turn = turn;
	queue->link.data = queue;
	g_queue_init(&queue->jobs);
	g_hash_table_insert(workers->queues, &queue->turn, queue);
	return queue;
}

void workers_push(struct workers *workers, uint64_t turn, void (*run)(void *data), void *data)
{
	struct job *job = g_new(struct job, 1);
	struct queue *queue;

	g_mutex_lock(&workers->lock);
	workers->pending++;
	queue = queue_of(workers, turn);
	*job = (struct job){ run, data, queue };
	if (g_queue_is_empty(&queue->jobs))
		g_queue_push_tail_link(&workers->ready, &queue->link);
	g_queue_push_tail(&queue->jobs, job);
	if (may_run(workers, queue)) {
		begin_locked(workers, queue);
		call_thread_locked(workers);
	}
	g_mutex_unlock(&workers->lock);
}

bool workers_current(uint64_t *out)
{
	*out = current ? *current : 0;
	return current != NULL;
}

/* The lock is held. */
static void *withdraw_from(struct workers *workers, struct queue *queue, void (*run)(void *data),
	bool (*match)(const void *data, const void *wanted), const void *wanted)
{
	for (GList *link = queue->jobs.head; link; link = link->next) {
		struct job *job = link->data;
		void *data = job->data;

		if (job->run != run || !match(data, wanted))
			continue;
		g_queue_delete_link(&queue->jobs, link);
		g_free(job);
		if (g_queue_is_empty(&queue->jobs))
			g_queue_unlink(&workers->ready, &queue->link);
		drop_locked(workers, queue);
		return data;
	}
	return NULL;
}

void *workers_withdraw(struct workers *workers, void (*run)(void *data),
	bool (*match)(const void *data, const void *wanted), const void *wanted)
{
	void *data = NULL;

	g_mutex_lock(&workers->lock);
	for (GList *link = workers->ready.head, *next; link && !data; link = next) {
		next = link->next;
		data = withdraw_from(workers, link->data, run, match, wanted);
	}
	g_mutex_unlock(&workers->lock);
	return data;
}

unsigned workers_pending(struct workers *workers)
{
	unsigned pending;

	g_mutex_lock(&workers->lock);
	pending = workers->pending;
	g_mutex_unlock(&workers->lock);
	return pending;
}

void workers_free(struct workers *workers)
{
	g_mutex_lock(&workers->lock);
	g_assert(workers->pending == 0);
	workers->ending = true;
	g_cond_broadcast(&workers->changed);
	while (workers->threads > 0)
		g_cond_wait(&workers->changed, &workers->lock);
	g_mutex_unlock(&workers->lock);
	g_hash_table_unref(workers->queues);
	g_cond_clear(&workers->changed);
	g_mutex_clear(&workers->lock);
	g_free(workers);
}

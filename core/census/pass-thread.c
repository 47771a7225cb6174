/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/pass-thread.h"

/* How often the thread is looked at while it runs a pass. */
#define LOOK_US (20 * 1000)

struct reader {
	/* Of whoever runs: the thread during a pass, the census otherwise. */
	struct proc *proc;
	struct devices devices;
	struct census_source source;
	const struct census_backend *backend;
	void *state; /* the back end's */
	struct spaces *spaces;
	unsigned facets;
	struct census_tally tally;
	int status;

	struct asker *asker;
	GThread *thread; /* NULL: not begun */
	GMutex lock;
	GCond changed;
	/* Under the lock. */
	bool running;     /* a pass */
	bool ended;       /* there will be no other */
	bool left_behind; /* nobody waits: the thread frees the reader */
};

static void dispose(struct reader *reader)
{
	if (reader->state)
		reader->backend->free(reader->state);
	spaces_free(reader->spaces);
	proc_close(reader->proc);
	asker_free(reader->asker);
	g_cond_clear(&reader->changed);
	g_mutex_clear(&reader->lock);
	g_free(reader);
}

int reader_new(const char *proc, pid_t self, const struct devices *devices,
	const struct census_backend *backend, struct patience *patience, struct reader **out,
	const char **why)
{
	struct reader *reader = g_new0(struct reader, 1);
	int error;

	*why = NULL;
	reader->backend = backend;
	reader->devices = *devices;
	reader->spaces = spaces_new();
	reader->asker = asker_new(patience);
	g_mutex_init(&reader->lock);
	g_cond_init(&reader->changed);
	error = proc_open(proc, &reader->proc);
	if (!error) {
		reader->source = (struct census_source){
			.proc = reader->proc,
			.devices = &reader->devices,
			.self = proc_pid_here(reader->proc, self),
		};
		error = backend->open(&reader->source, &reader->state, why);
	}
	if (error) {
		dispose(reader);
		return error;
	}
	*out = reader;
	return 0;
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	g_mutex_lock(&reader->lock);
	g_assert(!reader->running);
	reader->ended = true;
	g_cond_broadcast(&reader->changed);
	g_mutex_unlock(&reader->lock);
	if (reader->thread)
		g_thread_join(reader->thread);
	dispose(reader);
}

static void pass(struct reader *reader)
{
	reader->tally = (struct census_tally){ 0 };
	spaces_begin(reader->spaces);
	reader->status = reader->backend->pass(reader->state, reader->spaces, reader->facets,
		&reader->tally);
	spaces_end(reader->spaces);
}

static void *run(void *data)
{
	struct reader *reader = data;
	bool left_behind;

	asker_become(reader->asker);
	g_mutex_lock(&reader->lock);
	while (!reader->ended) {
		if (!reader->running) {
			g_cond_wait(&reader->changed, &reader->lock);
			continue;
		}
		g_mutex_unlock(&reader->lock);
		pass(reader);
		g_mutex_lock(&reader->lock);
		reader->running = false;
		g_cond_broadcast(&reader->changed);
	}
	left_behind = reader->left_behind;
	g_mutex_unlock(&reader->lock);
	if (left_behind)
		dispose(reader);
	return NULL;
}

/* Called with the lock. Whether the pass has ended; if not, it has been left behind. */
static bool await(struct reader *reader)
{
	while (reader->running) {
		gint64 until = g_get_monotonic_time() + LOOK_US;

		if (g_cond_wait_until(&reader->changed, &reader->lock, until) || !reader->running ||
			!asker_is_stuck(reader->asker))
			continue;
		reader->left_behind = reader->ended = true;
		g_thread_unref(reader->thread);
		return false;
	}
	return true;
}

int reader_run(struct reader *reader, const struct devices *devices, unsigned facets,
	struct reader_result *result)
{
	bool done;

	reader->devices = *devices;
	reader->facets = facets;
	if (!reader->thread)
		reader->thread = g_thread_new("census", run, reader);
	g_mutex_lock(&reader->lock);
	reader->running = true;
	g_cond_broadcast(&reader->changed);
	done = await(reader);
	g_mutex_unlock(&reader->lock);
	if (!done)
		return -EBUSY;
	result->tally = reader->tally;
	result->blind = reader_blind(reader);
	return reader->status;
}

/* The thread sleeps meanwhile: there is one pass at a time. */
bool reader_is_unchanged(struct reader *reader, const struct devices *devices, unsigned facets,
	struct reader_result *result)
{
	*result = (struct reader_result){ 0 };
	if (!reader->backend->unchanged || reader->devices.generation != devices->generation ||
		!reader->backend->unchanged(reader->state, facets, &result->tally))
		return false;
	result->blind = reader_blind(reader);
	return true;
}

struct spaces *reader_spaces(const struct reader *reader)
{
	return reader->spaces;
}

const char *reader_blind(const struct reader *reader)
{
	return reader->backend->blind(reader->state);
}

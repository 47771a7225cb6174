/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/pass/pass-thread.h"

/* How often the census checks a thread that runs a pass. */
#define LOOK_US (20 * 1000)

struct pass_thread {
	/* Used by the pass thread during a pass, and by the census between passes. */
	struct proc *proc;
	struct devices devices;
	struct census_source source;
	const struct census_backend *backend;
	void *state; /* the back end's */
	struct spaces *spaces;
	unsigned facets;
	struct census_tally tally;
	int status;

	struct watched_thread *watched;
	GThread *gthread; /* NULL: not started yet */
	GMutex lock;
	GCond changed;
	/* Under the lock. */
	bool running;     /* a pass runs */
	bool ended;       /* there will be no further pass */
	bool left_behind; /* no caller waits any more: the thread frees this structure */
};

static void dispose(struct pass_thread *pass_thread)
{
	if (pass_thread->state)
		pass_thread->backend->free(pass_thread->state);
	spaces_free(pass_thread->spaces);
	proc_close(pass_thread->proc);
	devices_clear(&pass_thread->devices);
	watched_thread_free(pass_thread->watched);
	g_cond_clear(&pass_thread->changed);
	g_mutex_clear(&pass_thread->lock);
	g_free(pass_thread);
}

int pass_thread_new(const char *proc, pid_t self, const struct devices *devices,
	const struct census_backend *backend, struct stall_detector *stall_detector,
	struct pass_thread **out, const char **why)
{
	struct pass_thread *pass_thread = g_new0(struct pass_thread, 1);
	int error;

	*why = NULL;
	pass_thread->backend = backend;
	pass_thread->devices = devices_copy(devices);
	pass_thread->spaces = spaces_new();
	pass_thread->watched = watched_thread_new(stall_detector);
	g_mutex_init(&pass_thread->lock);
	g_cond_init(&pass_thread->changed);
	error = proc_open(proc, &pass_thread->proc);
	if (!error) {
		pass_thread->source = (struct census_source){
			.proc = pass_thread->proc,
			.devices = &pass_thread->devices,
			.self = proc_pid_here(pass_thread->proc, self),
		};
		error = backend->open(&pass_thread->source, &pass_thread->state, why);
	}
	if (error) {
		dispose(pass_thread);
		return error;
	}
	*out = pass_thread;
	return 0;
}

void pass_thread_free(struct pass_thread *pass_thread)
{
	if (!pass_thread)
		return;
	g_mutex_lock(&pass_thread->lock);
	g_assert(!pass_thread->running);
	pass_thread->ended = true;
	g_cond_broadcast(&pass_thread->changed);
	g_mutex_unlock(&pass_thread->lock);
	if (pass_thread->gthread)
		g_thread_join(pass_thread->gthread);
	dispose(pass_thread);
}

/* Marks the daemons of other mounts, and no other space. */
static void mark_servers(struct pass_thread *pass_thread)
{
	const GArray *set = pass_thread->devices.set;

	spaces_serve_none(pass_thread->spaces);
	for (guint i = 0; set && i < set->len; i++) {
		const struct device *device = &g_array_index(set, struct device, i);
		struct space *space = NULL;

		if (device->role == DEVICE_OTHER_MOUNT && device->server)
			space = spaces_lookup(pass_thread->spaces, device->server);
		if (space)
			space_serve(pass_thread->spaces, space);
	}
}

static void pass(struct pass_thread *pass_thread)
{
	pass_thread->tally = (struct census_tally){ 0 };
	spaces_begin(pass_thread->spaces);
	pass_thread->status = pass_thread->backend->pass(pass_thread->state, pass_thread->spaces,
		pass_thread->facets, &pass_thread->tally);
	mark_servers(pass_thread);
	spaces_end(pass_thread->spaces);
	if (pass_thread->status == 0)
		pass_thread->status = pass_thread->tally.shortage;
}

static void *run(void *data)
{
	struct pass_thread *pass_thread = data;
	bool left_behind;

	watched_thread_bind(pass_thread->watched);
	g_mutex_lock(&pass_thread->lock);
	while (!pass_thread->ended) {
		if (!pass_thread->running) {
			g_cond_wait(&pass_thread->changed, &pass_thread->lock);
			continue;
		}
		g_mutex_unlock(&pass_thread->lock);
		pass(pass_thread);
		g_mutex_lock(&pass_thread->lock);
		pass_thread->running = false;
		g_cond_broadcast(&pass_thread->changed);
	}
	left_behind = pass_thread->left_behind;
	g_mutex_unlock(&pass_thread->lock);
	if (left_behind)
		dispose(pass_thread);
	return NULL;
}

/* Waits for the end of the pass, with the lock held. False: the thread has been left behind. */
static bool await(struct pass_thread *pass_thread)
{
	while (pass_thread->running) {
		gint64 until = g_get_monotonic_time() + LOOK_US;

		if (g_cond_wait_until(&pass_thread->changed, &pass_thread->lock, until) ||
			!pass_thread->running || !watched_thread_is_stalled(pass_thread->watched))
			continue;
		pass_thread->left_behind = pass_thread->ended = true;
		g_thread_unref(pass_thread->gthread);
		return false;
	}
	return true;
}

int pass_thread_run(struct pass_thread *pass_thread, const struct devices *devices, unsigned facets,
	struct pass_result *result)
{
	bool done;

	devices_clear(&pass_thread->devices);
	pass_thread->devices = devices_copy(devices);
	pass_thread->facets = facets;
	if (!pass_thread->gthread)
		pass_thread->gthread = g_thread_new("census", run, pass_thread);
	g_mutex_lock(&pass_thread->lock);
	pass_thread->running = true;
	g_cond_broadcast(&pass_thread->changed);
	done = await(pass_thread);
	g_mutex_unlock(&pass_thread->lock);
	if (!done)
		return -EBUSY;
	result->tally = pass_thread->tally;
	result->incomplete_view = pass_thread->backend->incomplete_view(pass_thread->state);
	return pass_thread->status;
}

/* Safe on the calling thread: between passes the pass thread sleeps. */
bool pass_thread_is_unchanged(struct pass_thread *pass_thread, const struct devices *devices,
	unsigned facets, struct pass_result *result)
{
	*result = (struct pass_result){ 0 };
	if (!pass_thread->backend->unchanged ||
		pass_thread->devices.generation != devices->generation ||
		!pass_thread->backend->unchanged(pass_thread->state, facets, &result->tally))
		return false;
	result->incomplete_view = pass_thread->backend->incomplete_view(pass_thread->state);
	return true;
}

struct spaces *pass_thread_spaces(const struct pass_thread *pass_thread)
{
	return pass_thread->spaces;
}

const char *pass_thread_caveat(const struct pass_thread *pass_thread)
{
	const struct census_backend *backend = pass_thread->backend;

	return backend->caveat ? backend->caveat(pass_thread->state) : NULL;
}

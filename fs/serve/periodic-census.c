/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/periodic-census.h"

#include "daemon/log.h"

#define END_US (2 * G_USEC_PER_SEC)

struct periodic_census {
	struct census *census; /* constant, as are the next two */
	gint64 interval;       /* us */
	GThread *thread;
	GMutex lock;   /* a leaf; protects the rest */
	GCond changed; /* `ending` or `ended` */
	bool ending, ended;
};

static void make_census(struct census *census)
{
	if (census_hold(census, CENSUS_ALL) == 0)
		census_release(census);
}

static void *run(void *data)
{
	struct periodic_census *periodic = data;

	g_mutex_lock(&periodic->lock);
	while (!periodic->ending) {
		gint64 next = g_get_monotonic_time() + periodic->interval;

		while (!periodic->ending &&
			g_cond_wait_until(&periodic->changed, &periodic->lock, next))
			;
		if (periodic->ending)
			break;
		g_mutex_unlock(&periodic->lock);
		make_census(periodic->census);
		g_mutex_lock(&periodic->lock);
	}
	periodic->ended = true;
	g_cond_broadcast(&periodic->changed);
	g_mutex_unlock(&periodic->lock);
	return NULL;
}

static void free_periodic(struct fs *fs)
{
	g_mutex_clear(&fs->periodic_census->lock);
	g_cond_clear(&fs->periodic_census->changed);
	g_clear_pointer(&fs->periodic_census, g_free);
}

void periodic_census_start(struct fs *fs)
{
	struct periodic_census *periodic;
	g_autoptr(GError) error = NULL;

	if (fs->options.census_interval <= 0)
		return;
	periodic = fs->periodic_census = g_new0(struct periodic_census, 1);
	periodic->census = fs->census;
	periodic->interval = (gint64)(fs->options.census_interval * G_USEC_PER_SEC);
	g_mutex_init(&periodic->lock);
	g_cond_init(&periodic->changed);
	periodic->thread = g_thread_try_new("periodic", run, periodic, &error);
	if (!periodic->thread) {
		log_line("census_interval has no effect: %s", error->message);
		free_periodic(fs);
	}
}

bool periodic_census_stop(struct fs *fs)
{
	struct periodic_census *periodic = fs->periodic_census;
	gint64 until = g_get_monotonic_time() + END_US;
	bool ended;

	if (!periodic)
		return true;
	g_mutex_lock(&periodic->lock);
	periodic->ending = true;
	g_cond_broadcast(&periodic->changed);
	while (!periodic->ended && g_cond_wait_until(&periodic->changed, &periodic->lock, until))
		;
	ended = periodic->ended;
	g_mutex_unlock(&periodic->lock);
	if (!ended)
		return false;
	g_thread_join(periodic->thread);
	free_periodic(fs);
	return true;
}

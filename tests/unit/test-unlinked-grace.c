/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The thread that ends the time for which an unlinked object keeps its descriptor. */
#include "node/unlinked-grace.h"

#include "unit.h"

#include <glib.h>
#include <stdbool.h>

#define GRACE_US (G_USEC_PER_SEC / 2)
#define PATIENCE_US (20 * G_USEC_PER_SEC)

static struct {
	GMutex lock;
	GCond more;
	uint64_t inodes[4];
	unsigned n;
} ended;

static void note(void *data, uint64_t ino)
{
	CU_ASSERT_PTR_EQUAL(data, &ended);
	g_mutex_lock(&ended.lock);
	CU_ASSERT_FATAL(ended.n < G_N_ELEMENTS(ended.inodes));
	ended.inodes[ended.n++] = ino;
	g_cond_signal(&ended.more);
	g_mutex_unlock(&ended.lock);
}

/* Waits until so many have ended; false: they do not. */
static bool wait_for(unsigned n)
{
	gint64 until = g_get_monotonic_time() + PATIENCE_US;
	bool in_time = true;

	g_mutex_lock(&ended.lock);
	while (ended.n < n && in_time)
		in_time = g_cond_wait_until(&ended.more, &ended.lock, until);
	g_mutex_unlock(&ended.lock);
	return in_time;
}

static void each_ends_when_its_time_is_up(void)
{
	struct unlinked_grace *grace;
	gint64 began = g_get_monotonic_time();

	ended.n = 0;
	grace = unlinked_grace_new(note, &ended);
	unlinked_grace_add(grace, 7);
	unlinked_grace_add(grace, 8);
	CU_ASSERT(wait_for(2));
	CU_ASSERT(g_get_monotonic_time() - began >= GRACE_US);
	/* The thread sleeps by now, as nothing is left; if not, this tests less. */
	g_usleep(GRACE_US / 10);
	unlinked_grace_add(grace, 9);
	CU_ASSERT(wait_for(3));
	unlinked_grace_free(grace);
	ASSERT_INT(ended.n, 3);
	ASSERT_INT(ended.inodes[0], 7);
	ASSERT_INT(ended.inodes[1], 8);
	ASSERT_INT(ended.inodes[2], 9);
}

/* Whether it was done before the time was up: if others have the processor for as long, that says nothing. */
static bool ends_at_once(void)
{
	struct unlinked_grace *grace = unlinked_grace_new(note, &ended);
	gint64 began = g_get_monotonic_time();

	ended.n = 0;
	unlinked_grace_add(grace, 7);
	g_usleep(GRACE_US / 10); /* the thread waits for the end of its time by now */
	unlinked_grace_free(grace);
	return g_get_monotonic_time() - began < GRACE_US;
}

static void what_is_left_at_the_end_is_dropped(void)
{
	bool at_once = false;

	for (int tries = 0; tries < 20 && !at_once; tries++)
		at_once = ends_at_once();
	CU_ASSERT(at_once);
	ASSERT_INT(ended.n, 0);
}

static CU_TestInfo tests[] = {
	{ "each ends when its time is up", each_ends_when_its_time_is_up },
	{ "what is left at the end is dropped", what_is_left_at_the_end_is_dropped },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo unlinked_grace_suite = { "unlinked_grace", NULL, NULL, NULL, NULL, tests };
